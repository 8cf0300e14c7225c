// The ticket's code stands behind the hash sign, which is sent to nobody: here it is put into the field, to be sent or not.
"use strict";

const code = document.getElementById("code");
if (code && !code.value) code.value = decodeURIComponent(location.hash.slice(1));
document.getElementById("problem")?.focus();
