import pytest

from services.retention.responsibility import Placement, responsible_for

EVERYWHERE = Placement("D1", "B1", "O1")


@pytest.mark.row("T-31", "X-01")
def test_a_vip_is_the_district_heads():
    assert responsible_for("vip", EVERYWHERE, "HQ")[:2] == ("district_head", "D1")


@pytest.mark.row("T-32", "X-03")
def test_a_key_shipper_is_the_branch_managers():
    """T-32, the part due: the task names the manager of the branch; who may claim it is shown in test_executors."""
    assert responsible_for("key", EVERYWHERE, "HQ") == ("branch_manager", "B1", True, ())


@pytest.mark.row("T-33", "X-04")
@pytest.mark.parametrize(
    ("placement", "unit"),
    [
        (EVERYWHERE, "O1"),
        (Placement("D1", "B1", None), "B1"),
        (Placement(None, None, None), "HQ"),
    ],
)
def test_a_general_shipper_is_the_outlets_else_the_branchs_else_the_root_units(placement, unit):
    """The default for movements that do not name who answers for them; the care group comes with those that do."""
    assert responsible_for("general", placement, "HQ")[:2] == ("outlet_staff", unit)


@pytest.mark.parametrize(("tier", "role"), [("vip", "district_head"), ("key", "branch_manager")])
def test_without_its_unit_the_root_unit_answers_and_the_role_stays(tier, role):
    assert responsible_for(tier, Placement(None, None, "O1"), "ROOT")[:2] == (role, "ROOT")
