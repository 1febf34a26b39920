"""Call flows: what a call is told, turn by turn, as TwiML. See docs/writing-a-flow.md."""
