"""What a month was scored with (评分依据的模型): policy version, models in use and cuts, and the digest of these."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from hashlib import sha256
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from services.tiering.scores.estimating import Models


@dataclass(frozen=True, slots=True)
class Learned:
    """What accounts are scored with beside their own inputs."""

    policy_version: str
    models: "Models"
    fitted_on: date | None
    churn: dict[str, Any]
    cuts: dict[str, Any]

    def used(self) -> dict[str, Any]:
        """Return what the scores depend on: the model in use with its parameters, not those that were tried beside it.

        Parameters are decimal texts of the ten digits that are stored.
        """
        told = self.models.purchases.get(self.models.purchase_model, {})
        weights = (self.churn.get("model") or {}).get("weights") or ()
        return {
            "policy_version": self.policy_version,
            "purchase_model": self.models.purchase_model,
            "purchases": {"k": told.get("k"), "parameters": _texts(told.get("parameters"))},
            "value": _texts(self.models.value.get("parameters")),
            "churn_method": self.churn["method"],
            "churn": [_text(weight) for weight in weights],
            "cuts": self.cuts,
        }

    def digest(self) -> bytes:
        """Return the SHA-256 of `used`, as JSON with sorted names."""
        return sha256(json.dumps(self.used(), sort_keys=True, separators=(",", ":")).encode()).digest()


def _texts(parameters: Mapping[str, float] | None) -> dict[str, str]:
    return {name: _text(value) for name, value in (parameters or {}).items()}


def _text(number: float) -> str:
    return f"{float(number):.10g}"
