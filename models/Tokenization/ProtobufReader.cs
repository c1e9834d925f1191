using System.Buffers.Binary;
using System.Text;
using LlamaServe.Models.Weights;

namespace LlamaServe.Models.Tokenization;

/// <summary>Reads the fields of one protobuf message, front to back.</summary>
internal ref struct ProtobufReader(string fileName, ReadOnlySpan<byte> message)
{
    private ReadOnlySpan<byte> _rest = message;
    private ulong _number;
    private ReadOnlySpan<byte> _bytes;

    /// <summary>The number of the current field.</summary>
    public int Field { get; private set; }

    /// <exception cref="CheckpointException">The message is cut off or malformed.</exception>
    public bool Next()
    {
        if (_rest.IsEmpty)
        {
            return false;
        }
        ulong tag = ReadVarint();
        Field = tag >> 3 is > 0 and <= int.MaxValue ? (int)(tag >> 3) : throw Malformed();
        _number = 0;
        _bytes = default;
        switch (tag & 7)
        {
            case 0:
                _number = ReadVarint();
                break;
            case 1:
                _number = BinaryPrimitives.ReadUInt64LittleEndian(Take(8));
                break;
            case 2:
                _bytes = Take(ReadVarint());
                break;
            case 5:
                _number = BinaryPrimitives.ReadUInt32LittleEndian(Take(4));
                break;
            default:
                throw Malformed();
        }
        return true;
    }

    public readonly bool Boolean => _number != 0;

    public readonly int Int32 => (int)_number;

    public readonly float Single => BitConverter.UInt32BitsToSingle((uint)_number);

    public readonly string Text => Encoding.UTF8.GetString(_bytes);

    public readonly ReadOnlySpan<byte> Bytes => _bytes;

    public readonly ProtobufReader Message => new(fileName, _bytes);

    private ulong ReadVarint()
    {
        ulong value = 0;
        for (int shift = 0; shift < 64; shift += 7)
        {
            byte next = Take(1)[0];
            value |= (ulong)(next & 0x7F) << shift;
            if (next < 0x80)
            {
                return value;
            }
        }
        throw Malformed();
    }

    private ReadOnlySpan<byte> Take(ulong count)
    {
        if (count > (ulong)_rest.Length)
        {
            throw Malformed();
        }
        ReadOnlySpan<byte> taken = _rest[..(int)count];
        _rest = _rest[(int)count..];
        return taken;
    }

    private readonly CheckpointException Malformed() => new(fileName, "is no protobuf message, or a truncated one");
}
