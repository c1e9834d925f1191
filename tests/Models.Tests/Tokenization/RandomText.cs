using System.Text;

namespace LlamaServe.Models.Tests.Tokenization;

/// <summary>Text that mixes words, white space, and code points from all over Unicode; no lone surrogates.</summary>
internal static class RandomText
{
    private static readonly string[] Words =
    [
        "Once", " upon", " a", " time", ",", " ", "  ", "\n", "\r\n", "\t", "don't", "I'LL", "123", "4567", "3.14", "naïve", "über", "日本語",
        "한국어", "русский", "🙂", "👨‍👩‍👧", "𝒜", "e\u0301", "<s>", "</s>", "<|im_end|>", "▁", "<0x0A>", "\u00A0", "\u3000", "ǅ", "½", "'", "\"", "!!!",
    ];

    public static string Next(Random random, int maxParts)
    {
        StringBuilder text = new();
        int parts = random.Next(maxParts + 1);
        for (int i = 0; i < parts; i++)
        {
            if (random.Next(3) > 0)
            {
                text.Append(Words[random.Next(Words.Length)]);
            }
            else if (Rune.TryCreate(random.Next(random.Next(3) switch { 0 => 0x80, 1 => 0x3000, _ => 0x20000 }), out Rune rune))
            {
                text.Append(rune);
            }
        }
        return text.ToString();
    }
}
