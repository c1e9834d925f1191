using System.Text;
using System.Text.Unicode;

namespace LlamaServe.Models.Tokenization;

/// <summary>
/// Text to token ids and back, whatever files it was made from. Safe for any number of threads. Encoding takes time
/// O(n log n) in the text's length, which is the caller's to limit.
/// </summary>
public sealed class Tokenizer
{
    private readonly EncodingStep _first;
    private readonly Vocabulary _vocabulary;
    private readonly int[] _prefix;
    private readonly int[] _suffix;
    private readonly string?[] _wholeTexts;

    /// <param name="stripsLeadingSpace">The first space of a text is the tokenizer's own and is left out in decoding.</param>
    internal Tokenizer(EncodingStep first, Vocabulary vocabulary, SpecialTokens special, int[] prefix, int[] suffix, bool stripsLeadingSpace)
    {
        (_first, _vocabulary, _prefix, _suffix) = (first, vocabulary, prefix, suffix);
        _wholeTexts = new string?[vocabulary.Size];
        Special = special;
        StripsLeadingSpace = stripsLeadingSpace;
    }

    /// <summary>One more than the largest id; a model may have more rows than that.</summary>
    public int VocabularySize => _vocabulary.Size;

    /// <summary>One more than the largest id that text without special and added tokens may become.</summary>
    public int OrdinarySize => _vocabulary.OrdinarySize;

    /// <summary>What <see cref="Encode"/> puts around every text, unless told not to.</summary>
    public IEnumerable<int> SurroundingIds => _prefix.Concat(_suffix);

    public SpecialTokens Special { get; }

    internal bool StripsLeadingSpace { get; }

    /// <param name="addSpecialTokens">Put before and after the text what its model expects there, such as BOS.</param>
    /// <param name="parseSpecialTokens">
    /// Special tokens written out in the text become their ids. Leave it off for text from users: they could forge turns.
    /// </param>
    public List<int> Encode(ReadOnlySpan<char> text, bool addSpecialTokens = true, bool parseSpecialTokens = false)
    {
        List<int> ids = new(text.Length / 3 + 4);
        if (addSpecialTokens)
        {
            ids.AddRange(_prefix);
        }
        if (!text.IsEmpty)
        {
            _first.Encode(text, atStart: true, parseSpecialTokens, ids);
        }
        if (addSpecialTokens)
        {
            ids.AddRange(_suffix);
        }
        return ids;
    }

    /// <summary>The text of the ids; bytes that are not UTF-8 become U+FFFD.</summary>
    /// <param name="skipSpecialTokens">Leave special tokens out, else they are written out.</param>
    /// <param name="continuesText">The ids go on from others, so a leading space belongs to the text.</param>
    /// <exception cref="ArgumentOutOfRangeException">An id is negative.</exception>
    public string Decode(ReadOnlySpan<int> ids, bool skipSpecialTokens = true, bool continuesText = false)
    {
        IncrementalDetokenizer detokenizer = new(this, skipSpecialTokens, continuesText);
        StringBuilder text = new();
        foreach (int id in ids)
        {
            text.Append(detokenizer.Append(id));
        }
        return text.Append(detokenizer.Flush()).ToString();
    }

    /// <summary>
    /// The bytes that a token stands for inside a text; not always whole characters. None for an id that has no token.
    /// </summary>
    /// <exception cref="ArgumentOutOfRangeException">The id is negative.</exception>
    public ReadOnlySpan<byte> TokenBytes(int id) => _vocabulary.Bytes(id);

    /// <summary>
    /// The text of a token whose bytes are whole characters, always the same object, so that streams hold no copies of it;
    /// null where they are not.
    /// </summary>
    /// <exception cref="ArgumentOutOfRangeException">The id is negative.</exception>
    internal string? WholeText(int id)
    {
        ReadOnlySpan<byte> bytes = TokenBytes(id);
        if (bytes.IsEmpty)
        {
            return "";
        }
        return _wholeTexts[id] ?? (Utf8.IsValid(bytes) ? Keep(id, Encoding.UTF8.GetString(bytes)) : null);
    }

    // Two threads may make it at the same time; the first one's is kept.
    private string Keep(int id, string text) => Interlocked.CompareExchange(ref _wholeTexts[id], text, null) ?? text;

    /// <summary>The token steers the model and is no part of the text.</summary>
    public bool IsSpecial(int id) => _vocabulary.IsSpecial(id);

    /// <summary>The id of a token by its name in the vocabulary, such as <c>&lt;|eot_id|&gt;</c>.</summary>
    public bool TryGetId(string token, out int id)
    {
        id = _vocabulary.Find(token);
        return id >= 0;
    }
}
