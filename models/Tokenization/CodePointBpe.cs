using System.Globalization;
using System.Text;

namespace LlamaServe.Models.Tokenization;

/// <summary>
/// BPE over the code points of the text (SentencePiece; Llama 2, Mistral). A code point without a token becomes the
/// tokens of its UTF-8 bytes where the vocabulary has them, else the unknown token, one for a run.
/// </summary>
internal sealed class CodePointBpe : BpeStep
{
    private readonly Vocabulary _vocabulary;
    private readonly int _unknownId;
    private readonly int[]? _idOfByte;
    private readonly bool _fuseUnknown;
    private readonly int[] _idOfLatin = new int[256];

    /// <param name="unknownId">−1: a code point without tokens becomes nothing.</param>
    /// <param name="byteFallback">Use the tokens <c>&lt;0x00&gt;</c> to <c>&lt;0xFF&gt;</c>.</param>
    public CodePointBpe(Vocabulary vocabulary, MergeTable merges, int unknownId, bool byteFallback, bool fuseUnknown)
        : base(merges)
    {
        (_vocabulary, _unknownId, _fuseUnknown) = (vocabulary, unknownId, fuseUnknown);
        _idOfByte = byteFallback ? [.. Enumerable.Range(0, 256).Select(value => vocabulary.Find(ByteTokenText((byte)value)))] : null;
        for (int c = 0; c < _idOfLatin.Length; c++)
        {
            _idOfLatin[c] = vocabulary.FindOrdinary([(char)c]);
        }
    }

    public static string ByteTokenText(byte value) => $"<0x{value:X2}>";

    /// <summary>The byte that a token like <c>&lt;0x0A&gt;</c> stands for.</summary>
    public static bool TryParseByteToken(string text, out byte value)
    {
        value = 0;
        return text.Length == 6 && text.StartsWith("<0x", StringComparison.Ordinal) && text[5] == '>'
            && byte.TryParse(text.AsSpan(3, 2), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out value);
    }

    protected override int MaxSymbols(int chars) => chars;

    protected override int Symbols(ReadOnlySpan<char> text, Span<int> symbols)
    {
        int count = 0;
        Span<char> chars = stackalloc char[2];
        foreach (Rune rune in text.EnumerateRunes())
        {
            int id = rune.Value < _idOfLatin.Length
                ? _idOfLatin[rune.Value]
                : _vocabulary.FindOrdinary(chars[..rune.EncodeToUtf16(chars)]);
            symbols[count++] = id >= 0 ? id : ~rune.Value;
        }
        return count;
    }

    protected override void AddUnknown(int symbol, int begin, List<int> ids)
    {
        Span<byte> utf8 = stackalloc byte[4];
        utf8 = utf8[..new Rune(~symbol).EncodeToUtf8(utf8)];
        if (_idOfByte is not null && HasAll(utf8))
        {
            foreach (byte value in utf8)
            {
                ids.Add(_idOfByte[value]);
            }
        }
        else if (_unknownId >= 0 && !(_fuseUnknown && ids.Count > begin && ids[^1] == _unknownId))
        {
            ids.Add(_unknownId);
        }
    }

    private bool HasAll(ReadOnlySpan<byte> bytes)
    {
        foreach (byte value in bytes)
        {
            if (_idOfByte![value] < 0)
            {
                return false;
            }
        }
        return true;
    }
}
