"""Why a connection failed: one table that feeds alerts, messages, documentation and tests.

A :class:`Reason` owns the alert that is sent, the section that asks for it, one plain sentence and a hint. Nothing else
in handfast maps errors to alerts. Reasons are finer than alerts: a peer learns the alert, the log learns the reason.
"""

from __future__ import annotations

from handfast.reasons import alerts as alerts
from handfast.reasons.authority import *
from handfast.reasons.chains import *
from handfast.reasons.endings import *
from handfast.reasons.fetching import *
from handfast.reasons.keys import *
from handfast.reasons.messages import *
from handfast.reasons.negotiation import *
from handfast.reasons.records import *
from handfast.reasons.sessions import *
from handfast.reasons.table import Reason as Reason
from handfast.reasons.table import by_name as by_name
from handfast.reasons.table import every as every
