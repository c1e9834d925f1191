using System.Text;

namespace LlamaServe.Models.Tokenization;

/// <summary>
/// The printable characters that stand for the 256 bytes in the vocabularies of byte-level BPE: a byte that is a printable
/// Latin-1 character stands for itself, the others follow in order from U+0100 on (GPT-2's encoder).
/// </summary>
internal static class ByteAlphabet
{
    private const int Extension = 256;

    private static readonly char[] CharOfByte = MakeChars();
    private static readonly short[] ByteOfChar = MakeBytes();

    public static char ToChar(byte value) => CharOfByte[value];

    /// <summary>The bytes that a token's text stands for; text outside the alphabet stands for its own UTF-8.</summary>
    public static byte[] ToBytes(string token)
    {
        byte[] bytes = new byte[token.Length];
        for (int i = 0; i < token.Length; i++)
        {
            int value = token[i] < ByteOfChar.Length ? ByteOfChar[token[i]] : -1;
            if (value < 0)
            {
                return Encoding.UTF8.GetBytes(token);
            }
            bytes[i] = (byte)value;
        }
        return bytes;
    }

    private static char[] MakeChars()
    {
        char[] chars = new char[256];
        int next = Extension;
        for (int value = 0; value < 256; value++)
        {
            bool printable = value is (>= '!' and <= '~') or (>= 0xA1 and <= 0xAC) or (>= 0xAE and <= 0xFF);
            chars[value] = printable ? (char)value : (char)next++;
        }
        return chars;
    }

    private static short[] MakeBytes()
    {
        short[] bytes = new short[CharOfByte.Max() + 1];
        bytes.AsSpan().Fill(-1);
        for (int value = 0; value < 256; value++)
        {
            bytes[CharOfByte[value]] = (short)value;
        }
        return bytes;
    }
}
