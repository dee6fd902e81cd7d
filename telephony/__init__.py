"""24 kHz audio in, packets out: encoding, playout on the clock, and RTP. Sockets are in telephony.net."""

from telephony.encoder import LineEncoder
from telephony.errors import TelephonyError
from telephony.format import TELEPHONE, AudioFormat, Encoding
from telephony.playout import Cleared, Playout, PlayoutEvent, Tick
from telephony.sender import RtpSender

__all__ = [
    "TELEPHONE",
    "AudioFormat",
    "Cleared",
    "Encoding",
    "LineEncoder",
    "Playout",
    "PlayoutEvent",
    "RtpSender",
    "TelephonyError",
    "Tick",
]
