"""What the process that trains must hear at its start: memory that is kept, threads that do not fight."""

from __future__ import annotations

