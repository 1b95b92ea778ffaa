"""Words for invented posts: what people say in five languages, well or badly meant.

Nothing here needs escaping in JSON: no quotation marks, no backslashes, no control
characters.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import NamedTuple


class Phrases(NamedTuple):
    """One language: a post is an opening of some mood, a thing, and a closing of the same mood."""

    lang: str
    #: How often the language is drawn, in parts of all languages' sum.
    weight: int
    things: Sequence[str]
    #: Openings and closings by mood: glad, calm, cross.
    openings: Sequence[Sequence[str]]
    closings: Sequence[Sequence[str]]


def _each(text: str) -> list[str]:
    return [" ".join(piece.split()) for piece in text.split("|")]


LANGUAGES = (
    Phrases(
        "en",
        60,
        _each("""the new tram line | this recipe | the match tonight | the update | our local library | the weather
              | the concert | my old bicycle | the election debate | this book | the coffee at the corner
              | the traffic | the new phone | the garden | the science fair | the late train"""),
        (
            _each("So happy about | I love | Absolutely wonderful: | Could not be prouder of | What a joy, | Bravo to"),
            _each("Thinking about | Just saw | Reading up on | Anyone else following | Notes on | A few words on"),
            _each("So tired of | I hate | Really disappointed by | How bad it is: | Angry about | Shame about"),
        ),
        (
            _each("best day in weeks 😊 | thank you all ❤️ | would do it again! | what a lovely surprise | loved it 👍"),
            _each("more later. | let us see. | does anyone know more? | that is all for today. | source below."),
            _each("what a waste of time 😡 | never again. | this is a disgrace | I want my money back! | so sad 😞"),
        ),
    ),
    Phrases(
        "es",
        15,
        _each("""el partido de hoy | la nueva línea de metro | esta receta | el concierto | el tiempo | mi barrio
              | el libro | la huelga"""),
        (
            _each("Me encanta | Qué alegría, | Muy feliz con | Enhorabuena por"),
            _each("Leyendo sobre | Pensando en | Acabo de ver | Algunas notas sobre"),
            _each("Estoy harta de | Qué vergüenza, | Odio | Muy decepcionado con"),
        ),
        (
            _each("¡el mejor día del año! 😊 | gracias a todos ❤️ | lo recomiendo mucho"),
            _each("luego os cuento más. | ¿alguien sabe algo? | hasta aquí por hoy."),
            _each("nunca más. | qué pérdida de tiempo 😡 | una pena 😞"),
        ),
    ),
    Phrases(
        "de",
        10,
        _each("""das Spiel heute | die neue Straßenbahn | dieses Rezept | das Konzert | das Wetter
              | mein altes Fahrrad | die Verspätung | das Buch"""),
        (
            _each("Ich freue mich so über | Großartig: | Einfach schön, | Ein Hoch auf"),
            _each("Gerade gesehen: | Ein paar Gedanken zu | Lese gerade über | Kurz notiert:"),
            _each("Ich ärgere mich über | Furchtbar: | Sehr enttäuscht, | Genug von"),
        ),
        (
            _each("der beste Tag seit Wochen 😊 | danke euch allen ❤️ | gern wieder!"),
            _each("später mehr. | weiß jemand Genaueres? | das war es für heute."),
            _each("nie wieder. | reine Zeitverschwendung 😡 | so traurig 😞"),
        ),
    ),
    Phrases(
        "fr",
        10,
        _each("""le match de ce soir | la nouvelle ligne | cette recette | le concert | la météo | mon vieux vélo
              | le livre | la grève"""),
        (
            _each("J’adore | Quel bonheur, | Très fière de | Bravo pour"),
            _each("Je lis sur | Je viens de voir | Quelques notes sur | Je pense à"),
            _each("Je déteste | Quelle honte, | Très déçu par | Assez de"),
        ),
        (
            _each("la meilleure journée du mois 😊 | merci à tous ❤️ | je recommande !"),
            _each("la suite plus tard. | quelqu’un en sait plus ? | c’est tout pour aujourd’hui."),
            _each("plus jamais. | quelle perte de temps 😡 | trop triste 😞"),
        ),
    ),
    Phrases(
        "ja",
        5,
        _each("今日の試合 | 新しい路線 | このレシピ | コンサート | 天気 | この本"),
        (
            _each("うれしい、 | 大好き、 | 最高だった、"),
            _each("さっき見た、 | 考え中、 | メモ："),
            _each("がっかり、 | 最悪だ、 | もう嫌だ、"),
        ),
        (
            _each("本当に楽しかった😊 | みんなありがとう❤️"),
            _each("続きはまた。 | 今日はここまで。"),
            _each("二度とごめんだ😡 | 悲しい😞"),
        ),
    ),
)

_COMMON_TAGS = _each("""news | music | football | climate | elections | art | film | travel | food | science
    | photography | gaming | fashion | books | weather | health | startups | space | education | politics
    | economy | nature | running | coffee | openSource | dataScience | cycling | theatre | history | gardening""")
_FIRST = _each("""Green | Open | Night | City | River | Winter | Summer | Digital | Local | Global | Quiet | Bright
    | New | Old | Free | Fair | Wild | Urban | Solar | Ocean | Silver | Golden | Northern | Southern | Early
    | Late | Public | Young | Slow | Fast | Tiny | Grand | First | Last | Red | Blue | Clear | Deep | High | Warm""")
_SECOND = _each("""Market | Lights | Bridge | Garden | Voices | Future | Energy | Walk | Radio | School | Forest
    | Harbour | Kitchen | Stage | Library | Festival | Trains | Parade | Games | Stories | Design | Robots
    | Planet | Budget | Justice | Union | Derby | Finals | Debate | Strike | Storm | Sunday | Friday | Makers
    | Dance | Coast | Valley | Summit | League | Week""")


def hashtags(count: int) -> list[str]:
    """``count`` different hashtags as people write them, common words first.

    >>> hashtags(2), len({tag.lower() for tag in hashtags(5000)})
    (['news', 'music'], 5000)
    """
    tags = _COMMON_TAGS[:count]
    number = 0
    while len(tags) < count:
        wanted = count - len(tags)
        tags += [f"{first}{second}{number or ''}" for first, second in product(_FIRST, _SECOND)][:wanted]
        number += 1
    return tags
