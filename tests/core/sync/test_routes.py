"""Where incidents go: routes, the filter, rules without an answer, and copies of other tenants."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest
from tests.core.sync.test_first_contact import adopt
from tests.sync_model import ManualClock, Mirror, ModelSource
from tests.sync_world import TENANT, World

from quell.domain.incident import Alert, Severity
from quell.errors import SettingsError
from quell.journal import Journal, incidents, notices
from quell.sync import SyncPolicy, SyncRoute
from quell.sync.sides import Part

pytestmark = pytest.mark.anyio

HIGH = "incident.severity >= severity.high"
#: has no answer for an incident without alerts
FIRST_ALERT = 'incident.alerts[0].title == "odd"'


class Wide(World):
    """A world with a second product that copies are made in."""

    def __post_init__(self) -> None:
        self.second = Mirror(self.clock, "second")
        super().__post_init__()

    def parts(self) -> list[tuple[ModelSource, Part]]:
        return [*super().parts(), (self.second, "mirrors")]

    def rule(self, *routes: tuple[str, tuple[str, ...]], where: str = "") -> None:
        """Restart with other rules: (condition, where to)."""
        self.policy = SyncPolicy(
            mode=self.policy.mode,
            grace=self.policy.grace,
            filter=where,
            routes=tuple(SyncRoute(when=when, to=to) for when, to in routes),
        )
        self.sync = self.fresh_sync()

    def titles(self) -> tuple[set[str], set[str]]:
        """Give what both mirrors hold, by title."""
        first, second = (
            {mirror.fields_of(name).title or "" for name in mirror.records}
            for mirror in (self.mirror, self.second)
        )
        return first, second

    def told(self) -> list[str]:
        """List what people were told."""
        return [one.notice.summary for one in self.journal.ask_now(notices.listed(TENANT))]


@pytest.fixture
def wide() -> Iterator[Wide]:
    clock = ManualClock()
    journal = Journal.open("sqlite://", clock=clock)
    yield Wide(journal, clock)
    journal.close()


# -- routes --------------------------------------------------------------------------------------


async def test_an_incident_goes_wherever_a_route_holds_for_it(wide: Wide) -> None:
    # given
    wide.rule((HIGH, ("mirror",)), ('"eu" in incident.tags', ("second",)))
    wide.origin.add("high", severity=Severity.HIGH)
    wide.origin.add("eu", tags=frozenset({"eu"}))
    wide.origin.add("both", severity=Severity.HIGH, tags=frozenset({"eu"}))
    wide.origin.add("none")

    # when
    await wide.settle()

    # then
    assert wide.titles() == ({"high", "both"}, {"eu", "both"})
    assert await wide.disagreements() == ()


async def test_one_route_may_lead_to_several_sources(wide: Wide) -> None:
    # given
    wide.rule(("true", ("mirror", "second")))
    wide.origin.add("7")

    # when
    await wide.settle()

    # then
    assert wide.titles() == ({"7"}, {"7"})


async def test_rules_see_alerts_that_come_with_the_incident(wide: Wide) -> None:
    # given
    wide.rule(('incident.alerts.exists(a, a.title == "odd")', ("second",)))
    record = wide.origin.add("7")
    record.alerts.append(Alert(id="a1", title="odd"))

    # when
    await wide.settle()

    # then
    assert wide.titles() == (set(), {"7"})


async def test_an_incident_is_copied_once_a_route_comes_to_hold(wide: Wide) -> None:
    # given
    wide.rule((HIGH, ("mirror",)))
    wide.origin.add("7")
    await wide.settle()
    before = wide.titles()

    # when
    wide.origin.edit("7", severity=Severity.HIGH)
    await wide.settle()

    # then
    assert before == (set(), set())
    assert wide.titles() == ({"7"}, set())


async def test_a_copy_stays_in_step_when_its_route_holds_no_longer(wide: Wide) -> None:
    # given
    wide.rule((HIGH, ("mirror",)), where=HIGH)
    wide.origin.add("7", severity=Severity.HIGH)
    await wide.settle()

    # when
    wide.origin.edit("7", severity=Severity.LOW)
    wide.origin.edit("7", title="renamed")
    wide.mirror.say(wide.copy_of("7"), "said in the copy")
    await wide.settle()

    # then
    assert wide.mirror.fields_of(wide.copy_of("7")).title == "renamed"
    assert any("said in the copy" in text for text in wide.origin.texts_of("7"))
    assert await wide.disagreements() == ()


async def test_a_copy_that_waits_is_not_made_once_no_route_holds(wide: Wide) -> None:
    # given
    wide.policy = SyncPolicy(mode="overlay", grace=timedelta(minutes=10))
    wide.rule((HIGH, ("mirror",)))
    wide.origin.add("7", severity=Severity.HIGH)
    await wide.sync.pass_once()

    # when
    wide.origin.edit("7", severity=Severity.LOW)
    await wide.sync.pass_once()
    wide.clock.advance(minutes=11)
    await wide.sync.pass_once()
    low = wide.titles()
    wide.origin.edit("7", severity=Severity.HIGH)
    await wide.settle()

    # then
    assert low == (set(), set())
    assert wide.titles() == ({"7"}, set())


# -- the filter ----------------------------------------------------------------------------------


async def test_what_the_filter_leaves_out_is_recorded_and_not_copied(wide: Wide) -> None:
    # given
    wide.rule(where=HIGH)
    wide.origin.add("7")

    # when
    await wide.settle()

    # then
    assert wide.titles() == (set(), set())
    assert wide.journal.ask_now(incidents.view(TENANT, wide.hub("7").id)).fields.title == "7"


async def test_nothing_passes_between_copies_of_what_the_filter_leaves_out(wide: Wide) -> None:
    # given
    wide.rule(where=HIGH)
    wide.origin.add("7")
    adopt(wide, "7", "m1")
    await wide.settle()

    # when
    wide.origin.edit("7", title="new at the origin")
    wide.mirror.edit("m1", description="new in the copy")
    wide.origin.say("7", "said at the origin")
    wide.mirror.say("m1", "said in the copy")
    await wide.settle()

    # then
    assert wide.take_calls() == []
    assert wide.hub("m1", wide.mirror).id == wide.hub("7").id
    assert await wide.sync.drift() == []


async def test_a_playbooks_words_reach_the_original_of_what_the_filter_leaves_out(
    wide: Wide,
) -> None:
    # given
    wide.rule(where=HIGH)
    wide.origin.add("7")
    adopt(wide, "7", "m1")
    await wide.settle()

    # when
    await wide.sync.desk.comment(wide.hub("7").id, "looked at", key="k", run_id=None)
    await wide.settle()

    # then
    assert any("looked at" in text for text in wide.origin.texts_of("7"))
    assert wide.mirror.texts_of("m1") == []


async def test_what_the_filter_comes_to_let_in_is_met_for_the_first_time(wide: Wide) -> None:
    # given
    wide.rule(where=HIGH)
    wide.origin.add("7")
    adopt(wide, "7", "m1")
    await wide.settle()
    wide.mirror.edit("m1", title="renamed meanwhile")
    await wide.settle()

    # when
    wide.origin.edit("7", severity=Severity.HIGH)
    await wide.settle()
    before = wide.mirror.fields_of("m1"), wide.origin.fields_of("7").title
    drift = {one.field for one in await wide.sync.drift()}
    await wide.sync.accept(None, "ada")
    await wide.settle()

    # then
    assert before[0].severity is Severity.LOW
    assert before[1] == "7"
    assert drift == {"title", "severity"}
    assert await wide.disagreements() == ()


async def test_the_filter_holds_where_the_copy_came_first(wide: Wide) -> None:
    # given
    wide.rule(where=HIGH)
    adopt(wide, "7", "m1", title="copy's")
    await wide.sync.pass_once()

    # when
    wide.origin.add("7", title="origin's")
    await wide.settle()

    # then
    assert wide.hub("m1", wide.mirror).id == wide.hub("7").id
    assert wide.take_calls() == []


async def test_taking_the_filter_away_lets_everything_in(wide: Wide) -> None:
    # given
    wide.rule(where=HIGH)
    wide.origin.add("7")
    wide.origin.add("8")
    adopt(wide, "8", "m8")
    await wide.settle()

    # when
    wide.rule()
    await wide.settle()
    wide.origin.edit("8", title="new")
    await wide.settle()

    # then
    assert wide.titles() == ({"7", "new"}, {"7", "new"})
    assert await wide.disagreements() == ()


async def test_without_the_filter_differences_that_grew_are_drift_at_once(wide: Wide) -> None:
    # given
    wide.rule(where=HIGH)
    wide.origin.add("8")
    adopt(wide, "8", "m8", title="copy's")
    # what changed last is seen again by every poll
    wide.origin.add("9")
    adopt(wide, "9", "m9")
    await wide.settle()

    # when
    wide.rule()
    await wide.settle()

    # then
    assert [one.field for one in await wide.sync.drift()] == ["title"]
    assert wide.mirror.fields_of("m8").title == "copy's"


async def test_a_copy_that_comes_after_the_filter_closed_is_left_alone(wide: Wide) -> None:
    # given
    wide.policy = SyncPolicy(mode="overlay", grace=timedelta(hours=1))
    wide.rule(where=HIGH)
    wide.origin.add("7", severity=Severity.HIGH)
    await wide.sync.pass_once()

    # when
    wide.origin.edit("7", severity=Severity.LOW)
    await wide.sync.pass_once()
    adopt(wide, "7", "m1", severity=Severity.LOW)
    await wide.sync.pass_once()
    wide.origin.edit("7", title="new")
    await wide.settle()

    # then
    assert wide.take_calls() == []
    assert set(wide.mirror.records) == {"m1"}


async def test_rules_that_changed_are_asked_about_what_has_no_copy(wide: Wide) -> None:
    # given
    wide.rule((HIGH, ("mirror",)))
    wide.origin.add("7")
    await wide.settle()

    # when
    wide.rule(("true", ("second",)))
    await wide.settle()

    # then
    assert wide.titles() == (set(), {"7"})


# -- rules without an answer ---------------------------------------------------------------------


@pytest.mark.parametrize("as_filter", [True, False], ids=["filter", "route"])
async def test_a_rule_without_an_answer_stops_new_copies_and_says_so_once(
    wide: Wide, as_filter: bool
) -> None:
    # given
    if as_filter:
        wide.rule(where=FIRST_ALERT)
    else:
        wide.rule(("true", ("second",)), (FIRST_ALERT, ("mirror",)))
    wide.origin.add("7")

    # when
    await wide.settle()
    wide.origin.edit("7", title="again")
    await wide.settle()

    # then
    assert wide.titles() == (set(), set())
    (told,) = wide.told()
    name = "tenant.t.sync.filter" if as_filter else "tenant.t.sync.routes[1].when"
    assert name in told
    assert "a list is shorter than the index" in told


async def test_a_rule_without_an_answer_leaves_copies_in_step(wide: Wide) -> None:
    # given
    wide.origin.add("7")
    await wide.settle()
    wide.rule(where=FIRST_ALERT)

    # when
    wide.origin.edit("7", title="again")
    await wide.settle()

    # then
    assert wide.mirror.fields_of(wide.copy_of("7")).title == "again"
    assert len(wide.told()) == 1


async def test_an_incident_goes_on_once_the_rule_has_an_answer(wide: Wide) -> None:
    # given
    wide.rule((FIRST_ALERT, ("mirror",)))
    wide.origin.add("7")
    await wide.settle()

    # when
    wide.origin.raise_alert("7", Alert(id="a1", title="odd"))
    await wide.settle()

    # then
    assert wide.titles() == ({"7"}, set())


# -- rules that cannot be meant ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("policy", "words"),
    [
        (
            SyncPolicy(filter='"a" in incident.tags &&\n incident.sevrity == "high"'),
            ["tenant.t.sync.filter", "line 2, column 11", "severity"],
        ),
        (
            SyncPolicy(routes=(SyncRoute(to=("mirror",), when="incident.title"),)),
            ["tenant.t.sync.routes[0].when", "line 1, column 1", "true or false"],
        ),
        (
            SyncPolicy(routes=(SyncRoute(to=("mirror", "mirorr")),)),
            ["tenant.t.sync.routes[0].to", "mirorr"],
        ),
        (SyncPolicy(routes=(SyncRoute(to=("origin",)),)), ["tenant.t.sync.routes[0].to"]),
        (SyncPolicy(routes=(SyncRoute(to=()),)), ["tenant.t.sync.routes[0].to", "no source"]),
        (SyncPolicy(modes={"mirorr": "overlay"}), ["tenant.t.sync.modes.mirorr"]),
    ],
    ids=["field", "type", "unknown", "detects", "nowhere", "mode"],
)
def test_rules_that_cannot_be_meant_are_refused_at_the_start(
    world: World, policy: SyncPolicy, words: list[str]
) -> None:
    # given
    world.policy = policy

    # when
    with pytest.raises(SettingsError) as caught:
        world.fresh_sync()

    # then
    assert all(word in str(caught.value) for word in words), str(caught.value)
    assert caught.value.remedy


# -- several tenants, one product ----------------------------------------------------------------


async def test_a_copy_made_for_another_tenant_is_left_to_that_one(world: World) -> None:
    # given
    world.origin.add("7")
    world.mirror.add("theirs", title="another tenant's").created_for = "other/origin/7"

    # when
    await world.settle()

    # then
    assert world.copy_of("7") != "theirs"
    assert len(world.incident_ids()) == 1
    assert world.mirror.fields_of("theirs").title == "another tenant's"


async def test_names_of_copies_tell_tenants_apart(world: World) -> None:
    # given
    world.origin.add("7")

    # when
    await world.settle()

    # then
    assert world.mirror.records[world.copy_of("7")].created_for == f"{TENANT}/origin/7"
    assert world.mirror.name_for("other/origin/7") != world.copy_of("7")
