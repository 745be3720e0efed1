"""Texts that tell an exact encoder from one that is nearly right.

Random Unicode does not: an encoder that fails on 582 of 42,732 real documents passed 30,000 random strings, and only
real Cyrillic gave it away. So these are sentences of many languages and the odd corners of web text beside them.
"""

from typing import Final

SENTENCE_OF: Final = {
    "English": "At the end of the day, it's one of the best in the world; they'll say so, and I'D agree.",
    "German": "Die Straße über die Brücke führt nach Süden, wo im Frühling die Äpfel blühen – jeder weiß es noch.",
    "French": "L'été dernier, j'ai vu l'œuvre entière ; c'était « magnifique », n'est-ce pas ?",
    "Spanish": "El niño pequeño comió piñas y después corrió por la montaña. ¿Qué pasó? ¡Nada!",
    "Russian": "Съешь же ещё этих мягких французских булок, да выпей чаю. Объявление висело у подъезда.",
    "Russian again": "В начале июня студенты сдают экзамены, а потом уезжают к морю или в горы на всё лето.",
    "Ukrainian": "Їхній ґанок прикрашений; м’ята й ялівець ростуть біля криниці, де п'ють воду.",
    "Greek": "Ο γρήγορος σκύλος πηδάει πάνω από τον φράχτη, ενώ ο ήλιος δύει στη θάλασσα.",
    "Polish, Czech, Norwegian": "Zażółć gęślą jaźń; příliš žluťoučký kůň úpěl ďábelské ódy. Årets høst ble våt.",
    "Vietnamese": "Đường phố Hà Nội về đêm thật đẹp, những hàng cây xanh mướt nghiêng mình bên hồ Gươm.",
    "Turkish": "İstanbul'un ışıkları gece boyunca söndürülmez; çocuklar geç saatlere kadar oynar.",
    "Arabic": "في صباح اليوم التالي ذهبنا إلى السوق القديم لشراء الخبز والتمر، ثم عدنا إلى البيت.",
    "Hebrew": "בבוקר שתינו קפה ליד הים, ואחר כך הלכנו הביתה ברגל לאורך הטיילת.",
    "Hindi": "सुबह बच्चे विद्यालय जाते हैं और शाम को मैदान में क्रिकेट खेलते हैं।",
    "Bengali": "আজ সকালে বৃষ্টি হচ্ছিল, তাই আমরা ছাতা নিয়ে বাজারে গিয়েছিলাম।",
    "Tamil": "காலையில் மழை பெய்தது; குழந்தைகள் குடையுடன் பள்ளிக்குச் சென்றார்கள்.",
    "Thai": "เช้านี้อากาศดีมาก เราจึงเดินไปตลาดเพื่อซื้อผลไม้และดอกไม้",
    "Chinese": "今天早上下了一场大雨，孩子们撑着伞去学校。晚上我们一起看了电影。",
    "Japanese": "昨日は友達と一緒に山へ行って、カメラで写真をたくさん撮りました。楽しかったです！",
    "Korean": "오늘 아침에는 비가 와서 우산을 쓰고 학교에 갔습니다. 저녁에는 영화를 봤어요.",
    "Georgian and Armenian": "გუშინ საღამოს მთაში ავედით და ვარსკვლავებს ვუყურებდით. Երևանում այսօր արև է։",
}
SENTENCES: Final = tuple(SENTENCE_OF.values())
CORNERS: Final = (
    "",
    " ",
    "a",
    " of the",
    "of the of the of the of the",
    "one  of   the\tend\nof the\r\nday \n \n\n of the ",
    "(of the) 'of the' \"of the\" of-the of_the of/the of.the",
    "of the 1st of 12 of 1234567 of the ٣٤٥ of the 四百 of the Ⅻ",
    "it's the 's the ''s the 'S THE DON'T THE we've the you'll the ’s the don’t the 'ſ the",
    "x\u00a0of\u00a0the \u2009of \u3000the \u200bof\u200bthe \ufeffof the \u0085of the \u2028of the",
    "\x00\x01\x1c\x1d\x1e\x1f\x7f\x80\x9f of the",
    "e\u0301te\u0301 of the n\u0303 \u0301of the \u0915\u094d\u0937 of the",
    "👩‍👩‍👧‍👦 🏳️‍🌈 🇺🇳 😀😀 of the ✨ of ✨ the",
    "𝔬𝔣 𝔱𝔥𝔢 𐌰𐌱 \U0010ffff \ue000 \ufffd \ufdd0 of the",
    "ǅ ǆ Ǆ ſ ﬁ İ ı ẞ K Å of the",
    "<|endoftext|> <|end_of_text|> <|begin_of_text|> <s> </s> [INST] of the <|im_start|>",
    "def f(x):\n    return x ** 2  # of the\n\n\tif (a==b) {c+=1;}\n",
    "https://www.example.org/of/the?of=the&b=%20#x me@example.org $1,234.56 3.14e-10",
    " " * 300 + "of the" + "\n" * 50 + "=" * 100 + "a" * 200 + "é" * 100,
)
PROBES: Final = (*SENTENCES, *CORNERS, " ".join(SENTENCES), "\n".join(SENTENCES).upper(), " ".join(SENTENCES[4:6] * 9))
