namespace LlamaServe.Bench.Training;

/// <summary>
/// What the tokenizer's trainer needs of the alphabet in which byte-level BPE vocabularies are written.
/// </summary>
internal static class ByteAlphabet
{
    public static char Char(byte value) => LlamaServe.Models.Tokenization.ByteAlphabet.ToChar(value);

    /// <summary>The 256 bytes in the order of their characters, which is the order of the first 256 token ids.</summary>
    public static byte[] BytesInTokenOrder() =>
        [.. Enumerable.Range(0, 256).Select(value => (byte)value).OrderBy(Char)];

    public static string Render(ReadOnlySpan<byte> bytes)
    {
        Span<char> text = bytes.Length <= 256 ? stackalloc char[bytes.Length] : new char[bytes.Length];
        for (int i = 0; i < bytes.Length; i++)
        {
            text[i] = Char(bytes[i]);
        }
        return new string(text);
    }
}
