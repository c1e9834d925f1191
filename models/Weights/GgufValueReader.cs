namespace LlamaServe.Models.Weights;

/// <summary>
/// Reads GGUF metadata values. Integers of every width become <see cref="long"/>, floats <see cref="double"/> (in arrays
/// <see cref="float"/>), so that what a key means does not depend on the width its writer chose.
/// </summary>
internal sealed class GgufValueReader(GgufCursor cursor)
{
    private const int MaxStringBytes = 1 << 26;
    private const int MaxArrayElements = 1 << 23;

    private enum ValueType : uint
    {
        UInt8, Int8, UInt16, Int16, UInt32, Int32, Float32, Boolean, Text, Array, UInt64, Int64, Float64,
    }

    private int _arrayElementsLeft = MaxArrayElements;

    /// <returns>long, double, bool, string, or an array long[], float[], bool[], string[].</returns>
    public object Read(string key)
    {
        ValueType type = (ValueType)cursor.ReadUInt32();
        return type switch
        {
            ValueType.Array => ReadArray(key),
            ValueType.Text => cursor.ReadString("text", MaxStringBytes),
            ValueType.Boolean => ReadBoolean(key),
            ValueType.Float32 or ValueType.Float64 => ReadFloat(type),
            _ => ReadInteger(key, type),
        };
    }

    private Array ReadArray(string key)
    {
        ValueType type = (ValueType)cursor.ReadUInt32();
        int count = cursor.ReadCount("array elements", _arrayElementsLeft, MinBytes(key, type));
        _arrayElementsLeft -= count;
        return type switch
        {
            ValueType.Text => Fill(new string[count], () => cursor.ReadString("text", MaxStringBytes)),
            ValueType.Boolean => Fill(new bool[count], () => ReadBoolean(key)),
            ValueType.Float32 or ValueType.Float64 => Fill(new float[count], () => (float)ReadFloat(type)),
            _ => Fill(new long[count], () => ReadInteger(key, type)),
        };
    }

    private static T[] Fill<T>(T[] array, Func<T> read)
    {
        for (int i = 0; i < array.Length; i++)
        {
            array[i] = read();
        }
        return array;
    }

    private int MinBytes(string key, ValueType type) => type switch
    {
        ValueType.UInt8 or ValueType.Int8 or ValueType.Boolean => 1,
        ValueType.UInt16 or ValueType.Int16 => 2,
        ValueType.UInt32 or ValueType.Int32 or ValueType.Float32 => 4,
        ValueType.UInt64 or ValueType.Int64 or ValueType.Float64 or ValueType.Text => 8,
        ValueType.Array => throw Error(key, "is an array of arrays, which is not supported"),
        _ => throw Error(key, $"has unknown type {(uint)type}"),
    };

    private bool ReadBoolean(string key) => cursor.ReadByte() switch
    {
        0 => false,
        1 => true,
        byte other => throw Error(key, $"has the truth value {other}"),
    };

    private double ReadFloat(ValueType type) => type == ValueType.Float32
        ? BitConverter.UInt32BitsToSingle(cursor.ReadUInt32())
        : BitConverter.UInt64BitsToDouble(cursor.ReadUInt64());

    private long ReadInteger(string key, ValueType type) => type switch
    {
        ValueType.UInt8 => cursor.ReadByte(),
        ValueType.Int8 => (sbyte)cursor.ReadByte(),
        ValueType.UInt16 => BitConverter.ToUInt16(cursor.Take(2)),
        ValueType.Int16 => BitConverter.ToInt16(cursor.Take(2)),
        ValueType.UInt32 => cursor.ReadUInt32(),
        ValueType.Int32 => (int)cursor.ReadUInt32(),
        ValueType.Int64 => (long)cursor.ReadUInt64(),
        ValueType.UInt64 => cursor.ReadUInt64() is var value && value <= long.MaxValue
            ? (long)value
            : throw Error(key, $"has the value {value}, which is too large"),
        _ => throw Error(key, $"has unknown type {(uint)type}"),
    };

    private CheckpointException Error(string key, string problem) =>
        new(cursor.FileName, $"key {CheckpointException.Quote(key)} {problem}");
}
