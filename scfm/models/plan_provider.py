"""What a plan needs of its provider, and the provider does not do."""

from __future__ import annotations

from scfm.models.plan import Plan
from scfm.providers.abilities import Abilities


def provider_warnings(plan: Plan, abilities: Abilities) -> list[str]:
    """A sentence for each thing that the plan asks for and the provider ignores."""
    warnings = [
        f"{abilities.name} ignores {name} of remote_request_params"
        for name in abilities.ignored(plan.remote_request_params)
    ]
    if plan.answering_machine != "play" and not abilities.machine_detection:
        warnings.append(
            f"{abilities.name} does not tell whether a machine answers: "
            f"answering_machine {plan.answering_machine!r} has no effect"
        )
    return warnings
