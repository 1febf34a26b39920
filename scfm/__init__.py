"""The Simple Call Flow Manager: callouts, phone calls and call flows over Twilio or Somleng."""

__version__ = "0.1.0"
