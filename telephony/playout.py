"""Playout, pure: encoded frames queue here and leave one per tick; what was heard is known to the frame.

The heart of barge-in: :meth:`Playout.clear` empties the queue at once and says how many frames of the
utterance had been handed out, so that the text can be cut where the caller stopped listening.
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

from telephony.errors import IllegalMove, PlayoutFull
from telephony.format import AudioFormat

CAPACITY_MS = 60_000
"""Default bound of the queue."""

MAX_POINTS = 1024
"""Bound of the starts, marks and ends that wait for their frame."""


class PlayoutState(str, Enum):
    """Idle between utterances, speaking while one is open, draining once the last one is finished."""

    IDLE = "idle"
    SPEAKING = "speaking"
    DRAINING = "draining"
    CLOSED = "closed"


_LEGAL_MOVES = {
    PlayoutState.IDLE: {PlayoutState.IDLE, PlayoutState.SPEAKING, PlayoutState.DRAINING, PlayoutState.CLOSED},
    PlayoutState.SPEAKING: set(PlayoutState),
    PlayoutState.DRAINING: set(PlayoutState),
    PlayoutState.CLOSED: {PlayoutState.CLOSED},
}


@dataclass(frozen=True, slots=True)
class UtteranceStarted:
    """The utterance's first frame is in this tick."""

    utterance_id: str
    at_ns: int


@dataclass(frozen=True, slots=True)
class UtteranceEnded:
    """The utterance's last frame is in this tick, or was in an earlier one."""

    utterance_id: str
    at_ns: int
    played_frames: int


@dataclass(frozen=True, slots=True)
class MarkPlayed:
    """The last frame before the mark is in this tick, or was in an earlier one."""

    name: str
    at_ns: int


@dataclass(frozen=True, slots=True)
class Underrun:
    """Speech ran dry in mid-utterance. Reported once, at the first silent tick."""

    utterance_id: str
    at_ns: int


PlayoutEvent = UtteranceStarted | UtteranceEnded | MarkPlayed | Underrun


class Tick(NamedTuple):
    """One ptime of the line. A named tuple: one is made per packet, at a third of a dataclass's cost."""

    payload: bytes
    """One frame, speech or silence: never missing."""
    speech: bool
    marker: bool
    """First speech frame after silence."""
    events: tuple[PlayoutEvent, ...]


@dataclass(frozen=True, slots=True)
class Cleared:
    """What :meth:`Playout.clear` threw away, and how much of the current utterance had been handed out."""

    utterance_id: str | None
    """The utterance that was playing, or None."""
    played_frames: int
    played_ms: int
    dropped_frames: int
    marks: tuple[str, ...] = ()
    """Marks that will not be played, in order."""
    unheard: tuple[str, ...] = ()
    """Utterances of which no frame was handed out, in order."""


class _Kind(Enum):
    START = "start"
    MARK = "mark"
    END = "end"


class _Point(NamedTuple):
    """Something to report once `frame` frames of the call have been handed out."""

    frame: int
    kind: _Kind
    name: str
    first_frame: int = 0
    """Of a start: where the utterance begins, which is `frame` itself if it is empty."""


class Playout:
    """Bounded queue of encoded frames between a producer in bursts and a line on the clock.

    Positions count the frames handed out since the call began; silence does not count. An utterance opens
    with its first frame and ends with :meth:`finish`; others may be pushed behind it meanwhile.
    """

    def __init__(
        self, audio_format: AudioFormat, prebuffer_frames: int = 0, capacity_frames: int | None = None
    ) -> None:
        """An utterance starts once `prebuffer_frames` of it are queued, or it is finished."""
        self.format = audio_format
        self.prebuffer_frames = prebuffer_frames
        self.capacity_frames = capacity_frames or CAPACITY_MS // audio_format.ptime_ms
        assert prebuffer_frames <= self.capacity_frames, "an utterance could never start"
        self.state = PlayoutState.IDLE
        self.played_frames = 0
        self.underruns = 0
        self.underrun_frames = 0
        self._frames: deque[bytes] = deque()
        self._points: deque[_Point] = deque()
        self._open_id = ""
        self._open_first_frame = 0
        self._current_id: str | None = None
        self._current_first_frame = 0
        self._silent = True
        self._dry = False
        self._silence = Tick(audio_format.silence, False, False, ())

    @property
    def lead_frames(self) -> int:
        """Frames queued ahead of the line."""
        return len(self._frames)

    @property
    def room_frames(self) -> int:
        """Frames that one push may still bring."""
        return self.capacity_frames - len(self._frames)

    @property
    def open_id(self) -> str | None:
        """The utterance that still takes frames, or None."""
        return self._open_id if self.state is PlayoutState.SPEAKING else None

    def push(self, payloads: Iterable[bytes], utterance_id: str = "") -> None:
        """Queue frames of one utterance; the first ones open it.

        Raises PlayoutFull, with none taken, beyond `room_frames`; IllegalMove when closed, or while
        another utterance is open.
        """
        frames = list(payloads)
        self._require_open(PlayoutState.SPEAKING, utterance_id)
        if not frames:
            return
        assert all(len(frame) == self.format.payload_bytes for frame in frames), "one payload is one frame"
        if len(frames) > self.room_frames:
            raise PlayoutFull(f"frames: {len(frames)} pushed, room for {self.room_frames}")
        if self.state is not PlayoutState.SPEAKING:
            self._require_point_room()
            self._open_id = utterance_id
            self._open_first_frame = self._end_frame
            self._points.append(_Point(self._end_frame + 1, _Kind.START, utterance_id, self._end_frame))
            self._move(PlayoutState.SPEAKING)
        self._frames.extend(frames)

    def mark(self, name: str) -> None:
        """Report `name` with the last frame queued so far, or at the next tick if all have gone.

        Raises PlayoutFull beyond MAX_POINTS waiting, IllegalMove when closed.
        """
        self._require_not_closed("mark")
        self._require_point_room()
        self._points.append(_Point(self._end_frame, _Kind.MARK, name))

    def finish(self, utterance_id: str = "") -> None:
        """Declare the utterance whole: an empty queue is now its end, not an underrun.

        An utterance of which nothing was pushed starts and ends in the same tick. Raises as push does.
        """
        self._require_open(PlayoutState.DRAINING, utterance_id)
        end_frame = self._end_frame
        if self.state is not PlayoutState.SPEAKING:
            self._require_point_room()
            self._points.append(_Point(end_frame, _Kind.START, utterance_id, end_frame))
        # An end needs no room of its own: it follows a start that had it.
        self._points.append(_Point(end_frame, _Kind.END, utterance_id))
        self._move(PlayoutState.DRAINING)

    def clear(self) -> Cleared:
        """Drop all that is queued, now. The next tick is silent unless new frames come before it."""
        self._move(PlayoutState.IDLE)
        current = self._current_id
        played_frames = self.played_frames - self._current_first_frame if current is not None else 0
        cleared = Cleared(
            current,
            played_frames,
            played_frames * self.format.ptime_ms,
            len(self._frames),
            tuple(point.name for point in self._points if point.kind is _Kind.MARK),
            tuple(point.name for point in self._points if point.kind is _Kind.START),
        )
        self._frames.clear()
        self._points.clear()
        self._current_id = None
        self._dry = False
        return cleared

    def close(self) -> Cleared:
        """Clear for good: every later act but close raises IllegalMove."""
        cleared = Cleared(None, 0, 0, 0) if self.state is PlayoutState.CLOSED else self.clear()
        self._move(PlayoutState.CLOSED)
        return cleared

    def tick(self, now_ns: int) -> Tick:
        """Hand out the frame of this ptime, speech or silence, with the events it brings."""
        frames = self._frames
        if not frames or (len(frames) < self.prebuffer_frames and self._prebuffering):
            return self._silent_tick(now_ns)
        payload = frames.popleft()
        self.played_frames += 1
        marker, self._silent, self._dry = self._silent, False, False
        points = self._points
        due = points and points[0].frame <= self.played_frames
        return Tick(payload, True, marker, self._pass_points(now_ns) if due else ())

    @property
    def _end_frame(self) -> int:
        """Position behind everything queued."""
        return self.played_frames + len(self._frames)

    @property
    def _prebuffering(self) -> bool:
        """Whether the next frame would be the first of an utterance that is still open."""
        return self.state is PlayoutState.SPEAKING and self.played_frames == self._open_first_frame

    def _silent_tick(self, now_ns: int) -> Tick:
        if self.state is PlayoutState.IDLE and not self._points:
            self._silent = True
            return self._silence
        self._require_not_closed("tick")
        self._silent = True
        events = self._pass_points(now_ns)
        if self.state is PlayoutState.SPEAKING and not self._frames:
            self.underrun_frames += 1
            if not self._dry:
                self._dry = True
                self.underruns += 1
                events += (Underrun(self._open_id, now_ns),)
        return self._silence._replace(events=events) if events else self._silence

    def _pass_points(self, now_ns: int) -> tuple[PlayoutEvent, ...]:
        """Take the points that the frames handed out have reached; the last end returns to idle."""
        events: list[PlayoutEvent] = []
        while self._points and self._points[0].frame <= self.played_frames:
            frame, kind, name, first_frame = self._points.popleft()
            if kind is _Kind.MARK:
                events.append(MarkPlayed(name, now_ns))
            elif kind is _Kind.START:
                self._current_id = name
                self._current_first_frame = first_frame
                events.append(UtteranceStarted(name, now_ns))
            else:
                self._current_id = None
                events.append(UtteranceEnded(name, now_ns, frame - self._current_first_frame))
        if self.state is PlayoutState.DRAINING and not self._frames:
            self._move(PlayoutState.IDLE)
        return tuple(events)

    def _require_point_room(self) -> None:
        if len(self._points) >= MAX_POINTS:
            raise PlayoutFull(f"points: {MAX_POINTS} starts, marks and ends already wait")

    def _require_not_closed(self, act: str) -> None:
        if self.state is PlayoutState.CLOSED:
            raise IllegalMove(self.state.value, act)

    def _require_open(self, there: PlayoutState, utterance_id: str) -> None:
        self._require_not_closed(there.value)
        if self.state is PlayoutState.SPEAKING and utterance_id != self._open_id:
            raise IllegalMove(f"{self.state.value} {self._open_id!r}", f"{there.value} {utterance_id!r}")

    def _move(self, there: PlayoutState) -> None:
        if there not in _LEGAL_MOVES[self.state]:
            raise IllegalMove(self.state.value, there.value)
        self.state = there
