// The choice of a role.

import { ROLES } from "../../lib/session.js";
import { t } from "../../lib/text.js";

export const roleOptions = () => ROLES.map((role) => [role, t(`users.role_${role}`)]);
