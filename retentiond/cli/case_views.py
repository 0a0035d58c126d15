"""How results of test cases look: what failed, for people; everything, as a document."""

from collections.abc import Sequence

import click

from retentiond.cli.output import counted
from retentiond.policy.cases import CaseResult


def write_results(results: Sequence[CaseResult], failed: Sequence[CaseResult], files: int) -> None:
    """Writes each failed case with its wrong answers, and one line about all."""
    for result in failed:
        click.echo(f"{result.position}: {result.policy}/{result.rule}: {result.name}")
        for answer in result.failures:
            click.echo(f"  {answer}")
    answers = [answer for result in results for answer in result.answers]
    wrong = sum(not answer.passed for answer in answers)
    verdict = f"{counted(len(failed), 'case')} failed, {counted(wrong, 'answer')} wrong" if failed else "as expected"
    sizes = (counted(files, "file"), counted(len(results), "case"), counted(len(answers), "answer"))
    click.echo(f"{', '.join(sizes)}: {verdict}")


def result_as_json(result: CaseResult) -> dict[str, object]:
    """A case of the document, every answer included."""
    return {
        "file": result.position.file,
        "line": result.position.line,
        "policy": result.policy,
        "rule": result.rule,
        "case": result.name,
        "passed": result.passed,
        "answers": [
            {
                "line": answer.position.line,
                "at": answer.when,
                "expected": answer.expected,
                "got": answer.got,
                "passed": answer.passed,
            }
            for answer in result.answers
        ],
    }
