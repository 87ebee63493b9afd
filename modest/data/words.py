"""The ten number words in many languages, and how fingers slip over them: raw text of the demo pool."""

from __future__ import annotations

import zlib

import numpy as np
from numpy.typing import NDArray

# language -> the words for 0 .. 9 (Latin script; Greek, Russian, Bulgarian, Ukrainian in their own)
NUMBERS = {
    "English": "zero one two three four five six seven eight nine",
    "German": "null eins zwei drei vier fünf sechs sieben acht neun",
    "Dutch": "nul een twee drie vier vijf zes zeven acht negen",
    "Swedish": "noll ett två tre fyra fem sex sju åtta nio",
    "Danish": "nul en to tre fire fem seks syv otte ni",
    "Norwegian": "null én to tre fire fem seks sju åtte ni",
    "Icelandic": "núll einn tveir þrír fjórir fimm sex sjö átta níu",
    "French": "zéro un deux trois quatre cinq six sept huit neuf",
    "Spanish": "cero uno dos tres cuatro cinco seis siete ocho nueve",
    "Catalan": "zero un dos tres quatre cinc sis set vuit nou",
    "Portuguese": "zero um dois três quatro cinco seis sete oito nove",
    "Italian": "zero uno due tre quattro cinque sei sette otto nove",
    "Romanian": "zero unu doi trei patru cinci șase șapte opt nouă",
    "Polish": "zero jeden dwa trzy cztery pięć sześć siedem osiem dziewięć",
    "Czech": "nula jedna dva tři čtyři pět šest sedm osm devět",
    "Slovene": "nič ena dva tri štiri pet šest sedem osem devet",
    "Croatian": "nula jedan dva tri četiri pet šest sedam osam devet",
    "Finnish": "nolla yksi kaksi kolme neljä viisi kuusi seitsemän kahdeksan yhdeksän",
    "Estonian": "null üks kaks kolm neli viis kuus seitse kaheksa üheksa",
    "Hungarian": "nulla egy kettő három négy öt hat hét nyolc kilenc",
    "Turkish": "sıfır bir iki üç dört beş altı yedi sekiz dokuz",
    "Latvian": "nulle viens divi trīs četri pieci seši septiņi astoņi deviņi",
    "Lithuanian": "nulis vienas du trys keturi penki šeši septyni aštuoni devyni",
    "Welsh": "dim un dau tri pedwar pump chwech saith wyth naw",
    "Esperanto": "nul unu du tri kvar kvin ses sep ok naŭ",
    "Indonesian": "nol satu dua tiga empat lima enam tujuh delapan sembilan",
    "Swahili": "sifuri moja mbili tatu nne tano sita saba nane tisa",
    "Greek": "μηδέν ένα δύο τρία τέσσερα πέντε έξι επτά οκτώ εννέα",
    "Russian": "ноль один два три четыре пять шесть семь восемь девять",
    "Ukrainian": "нуль один два три чотири п'ять шість сім вісім дев'ять",
    "Bulgarian": "нула едно две три четири пет шест седем осем девет",
}


def number_word(language: str, digit: int) -> str:
    """Word for one digit in one of ``NUMBERS``."""
    return NUMBERS[language].split()[digit]


def mistype(word: str, slips: int, draw: np.random.Generator) -> str:
    """A word after some slips: a letter dropped, doubled, swapped with the next, or hit beside."""
    letters = list(word)
    for _ in range(slips):
        at = int(draw.integers(len(letters)))
        kind = int(draw.integers(4))
        if kind == 0 and len(letters) > 1:
            del letters[at]
        elif kind == 1:
            letters.insert(at, letters[at])
        elif kind == 2 and at + 1 < len(letters):
            letters[at], letters[at + 1] = letters[at + 1], letters[at]
        else:
            letters[at] = chr(ord("a") + int(draw.integers(26)))
    return "".join(letters)


def ngrams(text: str, width: int, sizes: tuple[int, ...] = (1, 2, 3)) -> NDArray[np.float32]:
    """(width,) float32 counts of the character n-grams of ``^text$``, hashed (CRC-32, its top bit gives the sign).

    Feature hashing after Weinberger et al. 2009; an n-gram lands on the same place on every machine.
    """
    marked = f"^{text.lower()}$"
    counts = np.zeros(width, dtype=np.float32)
    for size in sizes:
        for at in range(len(marked) - size + 1):
            code = zlib.crc32(marked[at : at + size].encode())
            counts[code % width] += 1.0 if code >> 31 else -1.0
    return counts
