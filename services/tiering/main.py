"""The HTTP application of tiering."""

from services.tiering.routes import router
from shared.http import create_app

app = create_app("tiering", router, title="Tiering: freight, tiers, grades and movements")
