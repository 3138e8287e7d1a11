"""What schemathesis checks of our services beyond its own checks.

Its `positive_data_acceptance` wants 2xx for all input that the OpenAPI document allows. A document cannot say every rule (a
cursor is one the list gave, a contact lies in the past), so a rule may refuse, under a slug of its own. What may not happen is
that input which the document allows is refused as malformed: then the document lies.
"""

import schemathesis
from schemathesis import Case, CheckContext, GenerationMode, Response

STRICT_INTEGER = "Input should be a valid integer"
"""To JSON Schema 1.0 is an integer, to a strict model it is not: no document can say that."""


@schemathesis.check
def allowed_input_is_not_called_malformed(ctx: CheckContext, response: Response, case: Case) -> None:
    """Refuse `invalid-request` for input that was generated from the document."""
    right = case.meta is not None and case.meta.generation.mode is GenerationMode.POSITIVE
    if right and response.status_code == 422 and (problem := response.json())["type"] == "/problems/invalid-request":
        malformed = [fault for fault in problem["errors"] if fault["what"] != STRICT_INTEGER]
        assert not malformed, problem
