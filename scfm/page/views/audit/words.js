// What the search of the audit log offers: actions and kinds of subjects.

export const ACTIONS = [
  ...["create", "update", "delete", "import", "export", "read", "start", "pause", "resume", "stop", "publish"],
  ...["submit", "withdraw", "approve", "reject", "hold", "release", "cancel", "queue", "requeue", "queue_remote_fetch"],
  ...["rotate", "redeliver", "erase", "purge"],
  ...["sign_in", "sign_in_refused", "sign_out", "role_refused"],
];

export const SUBJECTS = [
  ...["callout", "contact", "opt_out", "phone_call", "call_flow", "audio_file"],
  ...["callout_participation", "batch_operation", "webhook_endpoint", "webhook_delivery"],
  ...["user", "access_token", "account", "server"],
];
