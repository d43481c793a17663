/* What `webspaces walk` says to `webspaces access`. */
#pragma once

enum found_kind {
	FOUND_OPEN = 'o',   /* it was closed; opened, or would be */
	FOUND_CLOSED = 'c', /* … and stays so, on purpose */
	FOUND_FAILED = 'f',
};
