// What the server takes for a password.

/** Attributes of its field: how many characters it may have. */
export const PASSWORD_LENGTH = { minlength: 6, maxlength: 128 };
