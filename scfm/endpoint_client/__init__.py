"""Requests to the webhook endpoints of others: where they may go, how they are signed, and what came of them."""
