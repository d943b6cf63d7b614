"""Reads MITRE ATT&CK tactics, however a product spells them, into one spelling.

https://attack.mitre.org/tactics/
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from quell_microsoft.lenient import fold

__all__ = ["read_tactics"]

#: by the number in the catalogue; the last three are Sentinel's, or of other catalogues
_BY_NUMBER = {
    "TA0043": "reconnaissance",
    "TA0042": "resource_development",
    "TA0001": "initial_access",
    "TA0002": "execution",
    "TA0003": "persistence",
    "TA0004": "privilege_escalation",
    "TA0005": "defense_evasion",
    "TA0006": "credential_access",
    "TA0007": "discovery",
    "TA0008": "lateral_movement",
    "TA0009": "collection",
    "TA0010": "exfiltration",
    "TA0011": "command_and_control",
    "TA0040": "impact",
    "TA0106": "impair_process_control",
    "TA0107": "inhibit_response_function",
    "": "pre_attack",
}
_BY_NAME = {fold(name): name for name in _BY_NUMBER.values()}
#: techniques that serve one tactic alone
_BY_TECHNIQUE = {
    "reconnaissance": "1589 1590 1591 1592 1593 1594 1595 1596 1597 1598",
    "resource_development": "1583 1584 1585 1586 1587 1588 1608",
    "initial_access": "1189 1190 1195 1199 1200 1566",
    "execution": "1047 1059 1106 1129 1203 1204 1559 1569",
    "persistence": "1136 1176 1505 1554",
    "privilege_escalation": "1068 1611",
    "defense_evasion": "1014 1027 1036 1070 1127 1140 1202 1207 1216 1218 1220 1222 1553 1562 "
    "1564 1620",
    "credential_access": "1003 1110 1111 1187 1212 1528 1539 1552 1555 1558 1606 1621",
    "discovery": "1007 1010 1012 1016 1018 1033 1046 1049 1057 1069 1082 1083 1087 1120 1124 1135 "
    "1201 1482 1518 1526 1580",
    "lateral_movement": "1021 1080 1210 1534 1563 1570",
    "collection": "1005 1025 1039 1074 1113 1114 1115 1119 1123 1125 1213 1530 1560",
    "command_and_control": "1001 1008 1071 1090 1095 1102 1104 1105 1132 1219 1568 1571 1572 1573",
    "exfiltration": "1011 1020 1029 1030 1041 1048 1052 1537 1567",
    "impact": "1485 1486 1489 1490 1491 1495 1496 1498 1499 1529 1531 1561 1565",
}
_TACTIC_OF = {
    f"T{number}": tactic for tactic, numbers in _BY_TECHNIQUE.items() for number in numbers.split()
}


def read_tactics(words: Iterable[str]) -> frozenset[str]:
    """Give the tactics among names, numbers of tactics and numbers of techniques."""
    return frozenset(found for word in words if (found := _tactic(word.strip())))


def _tactic(word: str) -> str | None:
    number = re.match(r"(TA\d{4}|T\d{4})(?:\.\d{3})?(?!\w)", word, re.IGNORECASE | re.ASCII)
    if number is None:
        return _BY_NAME.get(fold(word))
    return _BY_NUMBER.get(number[1].upper()) or _TACTIC_OF.get(number[1].upper())
