using System.Text;

namespace LlamaServe.Models.Tokenization;

/// <summary>How the texts of a vocabulary's ordinary tokens spell bytes.</summary>
/// <param name="ByteLevel">In the byte alphabet of byte-level BPE.</param>
/// <param name="ByteFallback">Tokens like <c>&lt;0x0A&gt;</c> are single bytes.</param>
/// <param name="SpaceMark">What stands for a space.</param>
internal sealed record TokenText(bool ByteLevel, bool ByteFallback, string? SpaceMark)
{
    /// <summary>SentencePiece's mark for a space, U+2581.</summary>
    public const string LowerOneEighthBlock = "▁";

    public byte[] Bytes(string token)
    {
        if (ByteLevel)
        {
            return ByteAlphabet.ToBytes(token);
        }
        if (ByteFallback && CodePointBpe.TryParseByteToken(token, out byte value))
        {
            return [value];
        }
        return Encoding.UTF8.GetBytes(SpaceMark is null ? token : token.Replace(SpaceMark, " ", StringComparison.Ordinal));
    }
}
