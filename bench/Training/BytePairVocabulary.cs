using System.Text;
using System.Text.RegularExpressions;

namespace LlamaServe.Bench.Training;

/// <summary>A trained byte-level BPE vocabulary: 256 bytes, then one token a merge, then the special tokens.</summary>
internal sealed partial class BytePairVocabulary
{
    public const string BeginOfText = "<|begin_of_text|>";
    public const string EndOfText = "<|end_of_text|>";

    /// <summary>Llama 3's pre-tokenizer pattern: contractions, words with one leading mark, digits by threes, marks, blanks.</summary>
    public const string SplitPattern =
        @"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

    private readonly int[] _byteToken = new int[256];
    private readonly Dictionary<(int, int), int> _mergedToken = [];
    private readonly Dictionary<string, int[]> _wordTokens = [];

    /// <param name="merges">Pairs of token ids in the order they were learned; merge i makes token 256 + i.</param>
    public BytePairVocabulary(IReadOnlyList<(int Left, int Right)> merges)
    {
        byte[] bytes = ByteAlphabet.BytesInTokenOrder();
        Tokens = [.. bytes.Select(value => new[] { value })];
        for (int token = 0; token < bytes.Length; token++)
        {
            _byteToken[bytes[token]] = token;
        }
        foreach ((int left, int right) in merges)
        {
            _mergedToken.Add((left, right), Tokens.Count);
            Tokens.Add([.. Tokens[left], .. Tokens[right]]);
        }
        Merges = merges;
    }

    /// <summary>The bytes of every token that is not special, by token id.</summary>
    public List<byte[]> Tokens { get; }

    public IReadOnlyList<(int Left, int Right)> Merges { get; }

    public int BeginOfTextToken => Tokens.Count;

    public int EndOfTextToken => Tokens.Count + 1;

    public int Size => Tokens.Count + 2;

    public static IEnumerable<string> Words(string text) => Split().Matches(text).Select(match => match.Value);

    /// <summary>Appends the tokens of <paramref name="text"/>, without special tokens.</summary>
    public void Encode(string text, List<int> tokens)
    {
        foreach (string word in Words(text))
        {
            if (!_wordTokens.TryGetValue(word, out int[]? known))
            {
                _wordTokens.Add(word, known = EncodeWord(word));
            }
            tokens.AddRange(known);
        }
    }

    /// <summary>The text of <paramref name="tokens"/>; special tokens are left out.</summary>
    public string Decode(IEnumerable<int> tokens) =>
        Encoding.UTF8.GetString([.. tokens.Where(token => token < Tokens.Count).SelectMany(token => Tokens[token])]);

    // Lowest merge first, leftmost on ties: a lower merge is a lower token id.
    private int[] EncodeWord(string word)
    {
        List<int> tokens = [.. Encoding.UTF8.GetBytes(word).Select(value => _byteToken[value])];
        while (true)
        {
            int best = int.MaxValue, at = -1;
            for (int i = 0; i + 1 < tokens.Count; i++)
            {
                if (_mergedToken.TryGetValue((tokens[i], tokens[i + 1]), out int merged) && merged < best)
                {
                    (best, at) = (merged, i);
                }
            }
            if (at < 0)
            {
                return [.. tokens];
            }
            tokens[at] = best;
            tokens.RemoveAt(at + 1);
        }
    }

    [GeneratedRegex(SplitPattern, RegexOptions.CultureInvariant)]
    private static partial Regex Split();
}
