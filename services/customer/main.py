"""The HTTP application of customer."""

from services.customer.routes import router
from shared.http import create_app

app = create_app("customer", router, title="Customer: organisation, settlement accounts, customer 360")
