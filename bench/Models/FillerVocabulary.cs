using System.Globalization;

namespace LlamaServe.Bench.Models;

/// <summary>
/// A SentencePiece vocabulary for a model that has learned nothing: unknown, begin and end of sequence, the 256 byte
/// tokens (so every text can be tokenized), then words over the alphabet, shortest first.
/// </summary>
internal static class FillerVocabulary
{
    /// <summary>Id of the first token that is no special or byte token.</summary>
    public const int FirstFiller = 3 + 256;

    private const int Normal = 1;
    private const int Unknown = 2;
    private const int Control = 3;
    private const int Byte = 6;

    /// <summary>Writes the <c>tokenizer.ggml.*</c> metadata of <paramref name="size"/> tokens.</summary>
    public static void AddTo(GgufWriter writer, int size)
    {
        IEnumerable<int> ids = Enumerable.Range(0, size);
        writer.Add("tokenizer.ggml.model", "llama")
            .Add("tokenizer.ggml.tokens", ids.Select(Text).ToArray())
            .Add("tokenizer.ggml.scores", ids.Select(id => id < FirstFiller ? 0f : FirstFiller - 1 - id).ToArray())
            .Add("tokenizer.ggml.token_type", ids.Select(Type).ToArray())
            .Add("tokenizer.ggml.unknown_token_id", 0u)
            .Add("tokenizer.ggml.bos_token_id", 1u)
            .Add("tokenizer.ggml.eos_token_id", 2u)
            .Add("tokenizer.ggml.add_bos_token", true)
            .Add("tokenizer.ggml.add_eos_token", false);
    }

    private static string Text(int id) => id switch
    {
        0 => "<unk>",
        1 => "<s>",
        2 => "</s>",
        < FirstFiller => string.Create(CultureInfo.InvariantCulture, $"<0x{id - 3:X2}>"),
        _ => Word(id - FirstFiller),
    };

    private static int Type(int id) => id switch
    {
        0 => Unknown,
        1 or 2 => Control,
        < FirstFiller => Byte,
        _ => Normal,
    };

    // Bijective numeration: a, b, ... z, the word boundary, then all words of two letters, and so on.
    private static string Word(int index)
    {
        const string Alphabet = "abcdefghijklmnopqrstuvwxyz\u2581";
        string word = "";
        for (int rest = index + 1; rest > 0; rest = (rest - 1) / Alphabet.Length)
        {
            word = Alphabet[(rest - 1) % Alphabet.Length] + word;
        }

        return word;
    }
}
