"""A carrier that speaks Twilio's voice REST API for calls, walks TwiML, and never leaves the machine."""
