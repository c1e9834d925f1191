using System.Buffers.Binary;
using System.Security.Cryptography;

namespace LlamaServe.Kernels.Cuda.Compilation;

/// <summary>
/// A compiled image on disk: the magic "LSIMAGE1", the key (SHA-256 of what it was made from), SHA-256 of the image, the image's
/// length (u64, little endian), the image.
/// </summary>
internal static class ImageFile
{
    private const int LengthOffset = 8 + (2 * SHA256.HashSizeInBytes);
    private const int HeaderBytes = LengthOffset + sizeof(ulong);

    private static ReadOnlySpan<byte> Magic => "LSIMAGE1"u8;

    public static void Write(string path, ReadOnlySpan<byte> key, ReadOnlySpan<byte> image)
    {
        byte[] file = new byte[HeaderBytes + image.Length];
        Magic.CopyTo(file);
        key.CopyTo(file.AsSpan(8));
        SHA256.HashData(image, file.AsSpan(8 + SHA256.HashSizeInBytes));
        BinaryPrimitives.WriteInt64LittleEndian(file.AsSpan(LengthOffset), image.Length);
        image.CopyTo(file.AsSpan(HeaderBytes));
        AtomicFile.Write(path, file);
    }

    /// <summary>The image; null where the file is missing, damaged, of another kind, or made from something else.</summary>
    public static byte[]? TryRead(string path, ReadOnlySpan<byte> key)
    {
        byte[] file;
        try
        {
            file = File.ReadAllBytes(path);
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            return null;
        }
        if (file.Length < HeaderBytes || !file.AsSpan().StartsWith(Magic) || !file.AsSpan(8, SHA256.HashSizeInBytes).SequenceEqual(key))
        {
            return null;
        }
        ReadOnlySpan<byte> image = file.AsSpan(HeaderBytes);
        bool whole = BinaryPrimitives.ReadInt64LittleEndian(file.AsSpan(LengthOffset)) == image.Length
            && SHA256.HashData(image).AsSpan().SequenceEqual(file.AsSpan(8 + SHA256.HashSizeInBytes, SHA256.HashSizeInBytes));
        return whole ? image.ToArray() : null;
    }
}
