"""Word lists behind the captions: everyday names for label language, English nouns that do not behave.

Data only. Names are lower case and without typographic quotes; keys of `EVERYDAY` are names as they are
after the label grammar and a leading colour word have been taken off.
"""

from __future__ import annotations

EVERYDAY = {
    "automobile": "car", "oncoming automobile": "car from the front", "oncoming bus": "bus from the front",
    "hot beverage": "cup of coffee", "sport utility vehicle": "suv", "potable water": "tap water",
    "sun with face": "sun", "teacup without handle": "cup of tea", "spiral shell": "shell",
    "rescue worker's helmet": "helmet", "woman's clothes": "blouse", "man's shoe": "shoe",
    "woman's sandal": "sandal", "woman's boot": "boot", "woman's hat": "hat", "cooking": "fried egg",
    "high voltage": "lightning bolt", "artist palette": "palette", "cityscape": "city", "national park": "park",
    "soft ice cream": "ice cream cone", "doughnut": "donut", "evergreen tree": "fir tree",
    "front-facing baby chick": "chick", "baby chick": "chick", "lady beetle": "ladybug", "eyes": "pair of eyes",
    "steaming bowl": "bowl of noodle soup", "curry rice": "curry with rice", "cooked rice": "bowl of rice",
    "video game": "game controller", "running shoe": "sneaker", "musical keyboard": "piano keyboard",
    "wrapped gift": "gift", "beer mug": "mug of beer", "clinking beer mugs": "two beer mugs",
    "globe showing europe-africa": "globe", "globe showing americas": "globe",
    "globe showing asia-australia": "globe", "tropical drink": "cocktail", "cocktail glass": "martini",
    "honeybee": "bee", "glowing star": "star", "spouting whale": "whale", "two-hump camel": "camel",
    "articulated lorry": "truck", "delivery truck": "truck", "horizontal traffic light": "traffic light",
    "vertical traffic light": "traffic light", "ear of corn": "corn", "tangerine": "orange",
    "cheese wedge": "cheese", "baguette bread": "baguette", "kick scooter": "scooter",
    "motor scooter": "scooter", "large square": "square", "medium square": "square", "small square": "square",
    "medium-small square": "square", "large blue diamond": "diamond", "small blue diamond": "diamond",
    "large orange diamond": "diamond", "small orange diamond": "diamond",
    "magnifying glass tilted left": "magnifying glass", "magnifying glass tilted right": "magnifying glass",
    "high-heeled shoe": "high heel", "thong sandal": "flip-flop", "desktop computer": "computer",
    "mobile phone": "phone", "kiwi fruit": "kiwi", "pool 8 ball": "billiard ball",
    "speaker high volume": "speaker", "speaker medium volume": "speaker", "speaker low volume": "speaker",
    "muted speaker": "speaker", "snowman without snow": "snowman", "fire engine": "fire truck",
    "umbrella with rain drops": "umbrella in the rain", "locked": "padlock", "unlocked": "open padlock",
    "tear-off calendar": "calendar", "spiral calendar": "calendar", "wastebasket": "trash can",
    "adhesive bandage": "bandage", "performing arts": "theater masks", "framed picture": "framed painting",
    "badminton": "badminton racket", "tennis": "tennis racket", "ping pong": "table tennis racket",
    "bowling": "bowling ball", "camping": "tent at night", "construction": "construction barrier",
    "wood": "logs", "night with stars": "night city", "sauropod": "dinosaur", "t-rex": "t-rex dinosaur",
    "deciduous tree": "tree", "water wave": "wave", "droplet": "drop of water", "closed book": "book",
    "memo": "notepad with a pencil", "page facing up": "sheet of paper", "page with curl": "sheet of paper",
    "shallow pan of food": "pan of food", "poultry leg": "chicken leg", "cut of meat": "steak",
    "necktie": "tie", "gem stone": "gem", "fork and knife with plate": "plate with fork and knife",
    "spade suit": "spade", "club suit": "club", "heart suit": "heart", "diamond suit": "diamond",
    "game die": "dice", "ringed planet": "planet", "bouquet": "bouquet of flowers", "blossom": "flower",
    "linked paperclips": "paperclips", "roll of paper": "toilet paper", "identification card": "id card",
    "small airplane": "airplane", "passenger ship": "cruise ship", "high-speed train": "bullet train",
    "oncoming taxi": "taxi", "oncoming police car": "police car", "metro": "subway train", "light rail": "tram",
    "tram car": "tram", "locomotive": "steam train", "nut and bolt": "bolt with a nut",
    "balance scale": "scales", "clapper board": "clapperboard", "carpentry saw": "saw",
    "sun behind cloud": "sun behind a cloud", "sun behind large cloud": "sun behind a cloud",
    "pine decoration": "bamboo", "sun behind small cloud": "sun behind a cloud", "clutch bag": "purse",
    "billed cap": "cap", "one-piece swimsuit": "swimsuit", "flying disc": "frisbee",
    "ice hockey": "hockey stick", "field hockey": "field hockey stick", "cricket game": "cricket bat",
    "lacrosse": "lacrosse stick", "carp streamer": "fish flags", "admission tickets": "tickets",
    "root vegetable": "beet", "leafy green": "lettuce", "hot pepper": "chili pepper",
    "anatomical heart": "human heart", "derelict house": "abandoned house",
    "building construction": "construction site", "wedding": "wedding chapel", "classical building": "temple",
    "snow-capped mountain": "snowy mountain", "flower playing cards": "playing card", "japanese dolls": "dolls",
    "mirror ball": "disco ball", "tumbler glass": "glass of whisky", "beverage box": "juice box",
    "bottle with popping cork": "champagne bottle", "wine glass": "glass of wine", "collision": "explosion",
    "cook": "chef", "man cook": "man chef", "woman cook": "woman chef", "mage": "wizard", "man mage": "wizard",
    "woman mage": "sorceress", "pile of poo": "poop", "person's hand": "hand", "baggage claim": "suitcase",
    "musical score": "treble clef", "trident emblem": "trident", "hourglass done": "hourglass",
    "hourglass not done": "hourglass", "timer clock": "kitchen timer", "mantelpiece clock": "clock",
    "person with bald": "bald person", "man with bald": "bald man", "woman with bald": "bald woman",
    "optical disk": "cd", "computer disk": "minidisc", "e-mail": "email", "satellite antenna": "satellite dish",
    "leaf fluttering in wind": "leaves in the wind", "wilted flower": "wilted rose",
    "aerial tramway": "cable car", "mountain cableway": "cable car", "suspension railway": "suspension train",
    "manual wheelchair": "wheelchair", "railway car": "train car",
}  # fmt: skip

CORE = frozenset({
    "cat", "dog", "horse", "cow", "pig", "rabbit", "bear", "lion", "tiger", "elephant", "fish", "bird",
    "butterfly", "bee", "apple", "banana", "lemon", "orange", "pear", "cherries", "strawberry", "grapes",
    "pizza", "cake", "bread", "car", "bus", "train", "bicycle", "airplane", "ship", "boat", "rocket", "house",
    "castle", "tree", "flower", "rose", "tulip", "sunflower", "sun", "moon", "star", "cloud", "rainbow",
    "snowman", "fire", "mountain", "ball", "balloon", "gift", "book", "key", "umbrella", "hat", "shoe", "crown",
    "guitar", "drum", "clock", "lamp", "chair", "cup of coffee", "teapot", "robot", "ghost", "dragon",
    "unicorn", "owl", "frog", "turtle", "snake", "penguin", "chicken", "duck", "mouse", "fox", "wolf", "monkey",
    "panda", "whale", "dolphin", "octopus", "mushroom", "cactus", "carrot", "tomato", "corn", "watermelon",
    "cheese", "hamburger", "donut", "ice cream", "tractor", "truck", "helicopter", "camera", "candle", "piano",
    "kite", "crab",
})  # fmt: skip
"""What people ask for first: trained on in every style, never held out, and drawn by far the most often."""

EVERYDAY_THINGS = frozenset({
    "heart", "broken heart", "leaf", "bone", "egg", "peach", "pineapple", "avocado", "eggplant", "potato", "cookie",
    "candy", "lollipop", "chocolate bar", "popcorn", "french fries", "hot dog", "taco", "sushi", "croissant", "pretzel",
    "cup of tea", "koala", "camel", "giraffe", "zebra", "goat", "ewe", "deer", "bat", "spider", "ladybug", "snail",
    "lobster", "shrimp", "squid", "shark", "parrot", "eagle", "peacock", "flamingo", "swan", "turkey", "rooster",
    "chick", "hedgehog", "squirrel", "hamster", "kangaroo", "sloth", "crocodile", "lizard", "t-rex dinosaur",
    "dinosaur", "polar bear", "gorilla", "fir tree", "palm tree", "four leaf clover", "cherry blossom", "hibiscus",
    "ambulance", "police car", "fire truck", "taxi", "motorcycle", "scooter", "sailboat", "anchor", "flying saucer",
    "tent", "lightning bolt", "snowflake", "wave", "volcano", "globe", "planet", "padlock", "hammer", "axe", "wrench",
    "scissors", "pencil", "paintbrush", "crayon", "palette", "telephone", "phone", "computer", "laptop", "television",
    "radio", "battery", "light bulb", "flashlight", "magnifying glass", "microscope", "telescope", "bell", "hourglass",
    "watch", "alarm clock", "ring", "gem", "lipstick", "handbag", "backpack", "sneaker", "high heel", "boot", "dress",
    "t-shirt", "jeans", "scarf", "gloves", "socks", "coat", "tie", "glasses", "sunglasses", "top hat", "trumpet",
    "violin", "saxophone", "microphone", "headphones", "accordion", "soccer ball", "basketball", "baseball", "dice",
    "puzzle piece", "teddy bear", "trophy", "bed", "door", "bathtub", "basket", "bucket", "envelope",
    "jack-o-lantern", "christmas tree", "santa claus", "skull", "alien", "poop", "smiling face",
    "grinning face", "crying face", "angry face", "winking face", "broccoli", "onion", "bell pepper",
    "cherry", "mango", "coconut", "kiwi", "blueberries", "pancakes", "cupcake", "pie", "sandwich", "bowl of rice",
    "glass of milk", "glass of wine", "mug of beer", "martini", "cocktail", "snowy mountain",
    "factory", "church", "bouquet of flowers", "hand", "magnet", "scales", "parachute",
})  # fmt: skip
"""What people ask for next; drawn more often than the rest."""

NOT_SPOKEN = frozenset({
    "date", "three button mouse", "medium volumne", "mag", "mag right", "mega", "feet", "flags", "japan",
    "japan map", "hocho", "zap", "art", "mans shoe", "womans clothes", "womans hat", "womans flat shoe",
    "chart", "sunny", "stormy", "lower left crayon", "lower left paintbrush", "calling", "android", "iphone",
    "moyai", "bullettrain front", "bullettrain side", "mostly sunny", "barely sunny", "smoking", "compression",
    "tada", "gun", "construction", "office", "bathtub", "direct hit", "dart", "golf", "moon ceremony",
    "rice scene", "low volume", "quiet sound", "loud sound", "high volume", "sound", "mute", "no bell", "stew",
    "oden", "pouch", "probing cane", "earth asia", "house abandoned", "mountain snow", "fork knife plate",
    "knife fork plate", "parasol on ground", "shirt and tie", "mailbox closed", "calendar spiral",
    "notepad spiral", "medal sports", "medal military", "computer", "artificial satellite", "open umbrella",
    "lantern", "x ray", "xray", "email", "trex", "full moon with", "new moon with", "fuelpump", "busstop",
    "octagonal sign", "stars", "umbrella with rain", "cloudy", "partly sunny", "rainy", "snowy", "wind blowing",
    "sun small cloud", "ear of rice", "swim brief", "clipboard", "icecream", "hotdog", "tophat", "bandaid",
    "double helix", "minidisc", "camera flash", "envelope", "pencil", "phone", "mobile phone arrow", "tshirt",
    "shopping", "frame with picture", "european castle", "european post office", "diving", "dagger knife",
    "city dusk", "izakaya lantern", "snow capped mountain", "flipper",
})  # fmt: skip
"""Shortcodes that nobody would type, or that mean another thing."""

SLANG = frozenset({
    "lol", "omg", "wtf", "bae", "yolo", "slay", "sus", "smh", "tbh", "fomo", "brb", "bff", "goat", "lit", "fam",
    "ttyl", "ttfn", "g2g", "gtg", "cya", "hella", "finna", "bruh", "noob", "fml", "idk", "ily", "ikr", "lmao",
    "rofl", "xoxo", "xd", "bruv", "dope", "thirsty", "unicode", "new", "zealand", "hash", "clip", "clipart",
    "public", "domain", "svg", "icon", "image", "throw", "mad", "upset", "salty", "outtie",
})  # fmt: skip
"""Keywords of tag lists that say nothing about the picture."""

UNCOUNTABLE = frozenset({
    "fire", "water", "rice", "bread", "cheese", "snow", "rain", "wind", "fog", "bacon", "meat", "garlic",
    "ginger", "sushi", "salt", "honey", "butter", "broccoli", "lettuce", "grass", "money", "paper", "wood",
    "ice", "lightning", "thread", "yarn", "smoke", "dizzy", "sweat", "popcorn", "chocolate", "spaghetti",
    "curry", "tennis", "skiing", "music", "beer", "wine", "milk", "jewelry", "hair", "art", "corn", "fishing",
    "badminton", "baseball", "basketball", "soup", "celery", "spinach", "thyme", "lavender", "soap", "coffee",
    "tea",
})  # fmt: skip

IRREGULAR_PLURALS = {
    "man": "men", "woman": "women", "person": "people", "child": "children", "mouse": "mice", "goose": "geese",
    "tooth": "teeth", "foot": "feet", "leaf": "leaves", "wolf": "wolves", "knife": "knives", "sheep": "sheep",
    "fish": "fish", "deer": "deer", "ox": "oxen", "loaf": "loaves", "shelf": "shelves", "cactus": "cactuses",
    "shrimp": "shrimps", "bison": "bison", "squid": "squids", "moose": "moose", "fireman": "firemen",
    "policeman": "policemen", "snowman": "snowmen", "merman": "mermen", "scarf": "scarves", "elf": "elves",
    "hippopotamus": "hippopotamuses", "tomato": "tomatoes", "potato": "potatoes", "hero": "heroes",
    "mango": "mangoes", "volcano": "volcanoes", "aircraft": "aircraft", "dice": "dice", "ski": "skis",
}  # fmt: skip

ALREADY_PLURAL = frozenset({
    "glasses", "sunglasses", "scissors", "jeans", "trousers", "pants", "shorts", "goggles", "binoculars",
    "grapes", "cherries", "tongs", "pliers", "chopsticks", "houses", "clouds", "notes", "bubbles", "sparkles",
    "horns", "dominoes", "fireworks", "waves", "footprints", "headphones", "people", "men", "women", "children",
    "teeth", "dice", "mice", "geese", "leaves", "feet",
})  # fmt: skip
SINGULAR_IN_S = (
    "ss", "us", "is", "lens", "tennis", "canvas", "gas", "christmas", "asparagus", "compass", "atlas", "billiards",
)  # fmt: skip
