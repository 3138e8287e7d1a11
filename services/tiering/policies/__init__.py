"""Policies (分层规则版本): documents that are versioned, effective-dated and scoped, and the one that is in force on a day."""

from services.tiering.policies.book import PolicyBook
from services.tiering.policies.document import PolicyDocument
from services.tiering.policies.versions import history, in_force

__all__ = ["PolicyBook", "PolicyDocument", "history", "in_force"]
