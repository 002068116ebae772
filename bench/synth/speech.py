"""Speech with exact phoneme times from espeak-ng (through ``espeakng_loader`` and ctypes).

espeak-ng is GPL-3: a tool that makes data, never a run-time dependency of the harness.
"""

from __future__ import annotations

import ctypes
import importlib.util
import io
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.signal import resample_poly

from bench.errors import AbsentError

RATE = 16000
_PAUSE = 0.38  # seconds between phrases
_SHORTEST = 0.7  # no phrase is shorter
_LEAD = 0.24  # seconds of silence before the first word

_WORD, _PHONEME = 1, 7
_SPEED = 1
_SYNCHRONOUS, _WITH_PHONEMES, _IPA = 2, 0x0001, 0x0002


@dataclass(frozen=True)
class Phoneme:
    """One IPA sound from ``start`` to ``end`` seconds, in ``word``."""

    start: float
    end: float
    phoneme: str
    word: str


@dataclass(frozen=True)
class Speech:
    """``sound`` [n] 16-bit mono at 16 kHz and its ``phonemes`` in order of time."""

    sound: NDArray[np.int16]
    phonemes: list[Phoneme]


_Sound = tuple[int, int, int, str]  # event type, time in ms, position in the text from 1, IPA symbol


class _Event(ctypes.Structure):
    class Id(ctypes.Union):
        _fields_ = [("number", ctypes.c_int), ("name", ctypes.c_char_p), ("string", ctypes.c_char * 8)]

    _fields_ = [
        ("type", ctypes.c_int),
        ("unique", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user", ctypes.c_void_p),
        ("id", Id),
    ]


_Callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event))


class _Engine:
    """The espeak-ng of this process: the library keeps global state."""

    def __init__(self, voice: str, rate: int) -> None:
        import espeakng_loader

        self.library: Any = ctypes.CDLL(str(espeakng_loader.get_library_path()))
        data = str(espeakng_loader.get_data_path()).encode()
        self.rate = int(self.library.espeak_Initialize(_SYNCHRONOUS, 0, data, _WITH_PHONEMES | _IPA))
        self.chunks: list[NDArray[np.int16]] = []
        self.events: list[_Sound] = []
        self.callback = _Callback(self._receive)
        self.library.espeak_SetSynthCallback(self.callback)
        if self.library.espeak_SetVoiceByName(voice.encode()):
            raise AbsentError(f"no voice {voice!r}")
        self.library.espeak_SetParameter(_SPEED, rate, 0)
        # Breath noise and flutter are random, seeded by the clock unless told otherwise.
        self.library.espeak_ng_SetRandSeed(ctypes.c_long(1))

    def _receive(self, wave: Any, count: int, events: Any) -> int:
        if count > 0:
            self.chunks.append(np.ctypeslib.as_array(wave, (count,)).copy())
        k = 0
        while events[k].type:
            e = events[k]
            if e.type in (_WORD, _PHONEME):
                sound = e.id.string.decode("utf-8", "replace") if e.type == _PHONEME else ""
                self.events.append((e.type, e.audio_position, e.text_position, sound))
            k += 1
        return 0

    def say(self, text: str) -> tuple[NDArray[np.int16], list[_Sound]]:
        """Wave [n] at the engine's rate and events of one phrase."""
        self.chunks, self.events = [], []
        data = text.encode()
        self.library.espeak_Synth(data, len(data) + 1, 0, 0, 0, 1, None, None)
        self.library.espeak_Synchronize()
        return np.concatenate(self.chunks), self.events


def speak(phrases: Iterable[str], voice: str, rate: int, seconds: float) -> Speech:
    """Say as many ``phrases`` (in order, too long ones left out) as fit into ``seconds``; silence fills the rest.

    espeak-ng's sound depends on what the process said before, so each subject is spoken by a process of its own.
    """
    if importlib.util.find_spec("espeakng_loader") is None:
        raise AbsentError("the synthetic voice needs espeak-ng: pip install 'talkbench[synth]'")
    task = json.dumps({"phrases": list(phrases), "voice": voice, "rate": rate, "seconds": seconds})
    found = os.pathsep.join(filter(None, [str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH")]))
    done = subprocess.run(
        [sys.executable, "-P", "-m", "bench.synth.speech"],
        input=task.encode(),
        capture_output=True,
        env={**os.environ, "PYTHONPATH": found},
        check=False,
    )
    if done.returncode:
        reason = done.stderr.decode(errors="replace").strip().splitlines()[-1:]
        raise AbsentError(f"espeak-ng did not speak ({' '.join(reason)}); reinstall the extra talkbench[synth]")
    with np.load(io.BytesIO(done.stdout)) as answer:
        return Speech(answer["sound"], [Phoneme(**row) for row in json.loads(str(answer["phonemes"]))])


def _speak(phrases: Iterable[str], voice: str, rate: int, seconds: float) -> Speech:
    """What :func:`speak` promises, in this process."""
    engine = _Engine(voice, rate)
    sound = np.zeros(round(seconds * RATE), np.int16)
    phonemes: list[Phoneme] = []
    now = min(_LEAD, 0.1 * seconds)
    for phrase in phrases:
        if now > seconds - _SHORTEST:
            break
        wave, events = engine.say(phrase)
        wave, spoken = _trim(wave, engine.rate, _phonemes(phrase, events, len(wave) / engine.rate))
        start = round(now * RATE)
        if start + len(wave) > len(sound) - 0.1 * RATE:
            continue
        sound[start : start + len(wave)] = wave
        phonemes += [Phoneme(round(p.start + now, 4), round(p.end + now, 4), p.phoneme, p.word) for p in spoken]
        now += len(wave) / RATE + _PAUSE
    return Speech(sound, phonemes)


def _trim(wave: NDArray[np.int16], rate: int, phonemes: list[Phoneme]) -> tuple[NDArray[np.int16], list[Phoneme]]:
    """Resample to 16 kHz and drop the silence that espeak adds after the last sound."""
    low = resample_poly(wave.astype(np.float64), RATE, rate) * 0.8
    end = phonemes[-1].end + 0.06
    fade = np.clip((end - np.arange(len(low)) / RATE) / 0.04, 0, 1)
    keep = min(len(low), round(end * RATE))
    return np.clip(np.round(low * fade), -32768, 32767)[:keep].astype(np.int16), phonemes


def _phonemes(text: str, events: list[_Sound], end: float) -> list[Phoneme]:
    """Events (times in ms, word positions from 1) as phonemes; pauses are left out."""
    out: list[Phoneme] = []
    # espeak's position is off by one after words it merges ("most of"), so it is only used to find the next whole word.
    words = list(re.finditer(r"[\w']+", text))
    word = -1
    for k, (kind, time, position, sound) in enumerate(events):
        if kind == _WORD:
            word = max(word + 1, max((i for i, w in enumerate(words) if w.start() < position), default=0))
            continue
        following = next((later[1] for later in events[k + 1 :] if later[0] == _PHONEME), round(end * 1000))
        symbol = sound.strip("ˈˌ_:;| ")
        if symbol and following > time:
            out.append(Phoneme(time / 1000, following / 1000, symbol, words[min(word, len(words) - 1)].group()))
    return out


def _main() -> None:
    """Speak the task on standard input; the answer goes to standard output as an ``.npz``."""
    speech = _speak(**json.load(sys.stdin))
    answer = io.BytesIO()
    np.savez(answer, sound=speech.sound, phonemes=np.array(json.dumps([asdict(p) for p in speech.phonemes])))
    sys.stdout.buffer.write(answer.getvalue())


if __name__ == "__main__":
    _main()
