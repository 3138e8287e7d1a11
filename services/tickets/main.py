"""The HTTP application of tickets."""

from services.tickets.routes import router
from shared.http import create_app

app = create_app("tickets", router, title="Express CRM: tickets")
