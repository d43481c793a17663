"""An agent whose clock runs fast, so that what it waits minutes for comes within seconds.

Only the agent hurries: the process that talks to CAs is started with an environment of its own, and so are daemons.
Of both it has less patience then.
"""

import glob
import os

LIBRARY = "/usr/lib/*/faketime/libfaketimeMT.so.1"


def hurried(factor):
    """The prefix of the agent's command, for Host.start."""
    sanitizer = os.environ.get("ASAN_OPTIONS", "detect_leaks=1")
    return ("env", f"LD_PRELOAD={glob.glob(LIBRARY)[0]}", f"FAKETIME=+0 x{factor}",
            f"ASAN_OPTIONS={sanitizer}:verify_asan_link_order=0")  # fmt: skip
