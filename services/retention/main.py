"""The HTTP application of retention."""

from services.retention.routes import router
from shared.http import create_app

app = create_app("retention", router, title="Retention: maintenance tasks and contacts")
