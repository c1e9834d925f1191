using System.Buffers.Binary;
using System.Text;

namespace LlamaServe.Models.Weights;

/// <summary>Reads a GGUF header front to back through a small window; every length is checked against the file first.</summary>
internal sealed class GgufCursor(MappedFile file)
{
    private const int WindowBytes = 1 << 16;

    private readonly byte[] _window = new byte[WindowBytes];
    private long _windowBegin;
    private int _windowLength;

    public string FileName => file.Name;

    public long Position { get; private set; }

    public long Remaining => file.Length - Position;

    public byte ReadByte() => Take(1)[0];

    public uint ReadUInt32() => BinaryPrimitives.ReadUInt32LittleEndian(Take(sizeof(uint)));

    public ulong ReadUInt64() => BinaryPrimitives.ReadUInt64LittleEndian(Take(sizeof(ulong)));

    /// <summary>A count that must leave at least <paramref name="minBytesEach"/> bytes of the file for each thing counted.</summary>
    /// <exception cref="CheckpointException">It exceeds <paramref name="max"/> or the file.</exception>
    public int ReadCount(string what, int max, int minBytesEach)
    {
        ulong count = ReadUInt64();
        if (count > (ulong)max)
        {
            throw new CheckpointException(FileName, $"claims {count} {what}, more than the {max} allowed");
        }
        if ((long)count * minBytesEach > Remaining)
        {
            throw new CheckpointException(FileName, $"the file is truncated: it is too short for its {count} {what}");
        }
        return (int)count;
    }

    /// <summary>UTF-8 text with its length in front; damaged UTF-8 reads as U+FFFD.</summary>
    public string ReadString(string what, int maxBytes)
    {
        int length = ReadCount("bytes of " + what, maxBytes, minBytesEach: 1);
        return Encoding.UTF8.GetString(Take(length));
    }

    /// <summary>The next bytes; valid until the next read.</summary>
    public ReadOnlySpan<byte> Take(int count)
    {
        if (count > WindowBytes)
        {
            byte[] bytes = new byte[count];
            file.Read(Position, bytes);
            Position += count;
            return bytes;
        }
        if (Position + count > _windowBegin + _windowLength)
        {
            if (count > Remaining)
            {
                throw new CheckpointException(FileName, "the file is truncated inside its header");
            }
            _windowBegin = Position;
            _windowLength = (int)Math.Min(WindowBytes, Remaining);
            file.Read(_windowBegin, _window.AsSpan(0, _windowLength));
        }
        ReadOnlySpan<byte> taken = _window.AsSpan((int)(Position - _windowBegin), count);
        Position += count;
        return taken;
    }
}
