using System.Text;

namespace LlamaServe.Models.Tokenization;

/// <summary>BPE over the UTF-8 bytes of the text (GPT-2, Llama 3, Qwen). A lone surrogate counts as U+FFFD.</summary>
internal sealed class ByteLevelBpe : BpeStep
{
    private const int StackChars = 128;

    private readonly int[] _idOfByte = new int[256];
    private readonly Vocabulary _vocabulary;
    private readonly int _unknownId;
    private readonly bool _wholePieces;

    /// <param name="unknownId">What a byte without a token becomes; −1: nothing.</param>
    /// <param name="wholePieces">A piece that is a token becomes it without merging (<c>ignore_merges</c>).</param>
    public ByteLevelBpe(Vocabulary vocabulary, MergeTable merges, int unknownId, bool wholePieces)
        : base(merges)
    {
        (_vocabulary, _unknownId, _wholePieces) = (vocabulary, unknownId, wholePieces);
        for (int value = 0; value < 256; value++)
        {
            _idOfByte[value] = vocabulary.FindOrdinary([ByteAlphabet.ToChar((byte)value)]);
        }
    }

    protected override int MaxSymbols(int chars) => Encoding.UTF8.GetMaxByteCount(chars);

    protected override int Symbols(ReadOnlySpan<char> text, Span<int> symbols)
    {
        int count = 0;
        Span<byte> utf8 = stackalloc byte[4];
        foreach (Rune rune in text.EnumerateRunes())
        {
            int length = rune.EncodeToUtf8(utf8);
            foreach (byte value in utf8[..length])
            {
                symbols[count++] = _idOfByte[value];
            }
        }
        return count;
    }

    protected override void AddUnknown(int symbol, int begin, List<int> ids)
    {
        if (_unknownId >= 0)
        {
            ids.Add(_unknownId);
        }
    }

    protected override int Whole(ReadOnlySpan<char> text)
    {
        if (!_wholePieces || text.Length > StackChars)
        {
            return -1;
        }
        Span<byte> utf8 = stackalloc byte[3 * StackChars];
        Span<char> chars = stackalloc char[3 * StackChars];
        int length = Encoding.UTF8.GetBytes(text, utf8);
        for (int i = 0; i < length; i++)
        {
            chars[i] = ByteAlphabet.ToChar(utf8[i]);
        }
        return _vocabulary.FindOrdinary(chars[..length]);
    }
}
