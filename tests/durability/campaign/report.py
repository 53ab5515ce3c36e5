"""The report of campaigns: a table with a line for each kind of fault, the controls, and a summary."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tests.durability.campaign.nouns import Result, Tally

_COLUMNS = ("rounds", "decisions", "feedback", "refusals", "lost", "doubled")


def format_report(results: Sequence[Result]) -> str:
    """Decisions and feedback are those that were acknowledged."""
    return "\n".join(line for result in results for line in (*_format_result(result), "")) + _summarise(
        results
    )


def _format_result(result: Result) -> Iterator[str]:
    width = max(map(len, result.tallies), default=0)
    yield f"{result.name:{width}}" + "".join(f"{column:>11}" for column in _COLUMNS)
    for kind, tally in result.tallies.items():
        yield f"{kind:{width}}" + "".join(f"{getattr(tally, column):>11}" for column in _COLUMNS)
    for name, is_found in result.controls.items():
        yield f"negative control: {name}: {'reported' if is_found else 'NOT REPORTED'}"
    for tally in result.tallies.values():
        yield from (f"measured: {figure}" for figure in tally.figures)
        yield from (f"problem: {problem}" for problem in tally.problems)


def _summarise(results: Sequence[Result]) -> str:
    tallies = [tally for result in results for tally in result.tallies.values()]
    sums = {column: _total(tallies, column) for column in _COLUMNS}
    answers = f"{sums['decisions']} decisions and {sums['feedback']} values acknowledged"
    problems = sum(len(tally.problems) for tally in tallies)
    missed = sum(not is_found for result in results for is_found in result.controls.values())
    verdict = "PASSED" if all(result.ok for result in results) else "FAILED"
    return (
        f"{verdict}: {sums['rounds']} rounds, {answers}, "
        f"{sums['lost']} lost, {sums['doubled']} doubled, {problems} problems, {missed} controls not reported"
    )


def _total(tallies: Sequence[Tally], column: str) -> int:
    return sum(getattr(tally, column) for tally in tallies)
