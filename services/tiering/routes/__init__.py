"""Door: somebody asks. One module per room."""

from services.tiering.routes import (
    axes,
    causes,
    concentration,
    decisions,
    designer,
    freight,
    kpis,
    movements,
    policies,
    radar,
    rectifications,
    reports,
    scores,
    standing,
    tiers,
)
from shared.http import Router

router = Router(
    freight.router,
    tiers.router,
    decisions.router,
    movements.router,
    standing.router,
    radar.router,
    concentration.router,
    causes.router,
    axes.router,
    policies.router,
    designer.router,
    kpis.router,
    reports.router,
    rectifications.router,
    scores.router,
)
