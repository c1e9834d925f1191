using System.Text;

namespace LlamaServe.Models.Tests.Weights;

/// <summary>Writes GGUF files, honest or not.</summary>
internal sealed class GgufWriter
{
    private readonly List<Action<BinaryWriter>> _keys = [];
    private readonly List<(string Name, ulong[] Dimensions, uint Type, byte[] Data)> _tensors = [];

    public uint Version { get; init; } = 3;

    public int Alignment { get; init; } = 32;

    /// <summary>Added to the number of tensors that the header claims.</summary>
    public int ClaimedExtraTensors { get; init; }

    public GgufWriter Key(string key, object value)
    {
        _keys.Add(writer =>
        {
            WriteText(writer, key);
            WriteValue(writer, value);
        });
        return this;
    }

    /// <summary>A key with bytes of one's own after its name.</summary>
    public GgufWriter RawKey(string key, params byte[] bytes)
    {
        _keys.Add(writer =>
        {
            WriteText(writer, key);
            writer.Write(bytes);
        });
        return this;
    }

    /// <param name="dimensions">ggml's order: the innermost first.</param>
    public GgufWriter Tensor(string name, uint type, ulong[] dimensions, byte[] data)
    {
        _tensors.Add((name, dimensions, type, data));
        return this;
    }

    public byte[] ToBytes()
    {
        MemoryStream stream = new();
        BinaryWriter writer = new(stream);
        writer.Write("GGUF"u8);
        writer.Write(Version);
        writer.Write((long)_tensors.Count + ClaimedExtraTensors);
        writer.Write((long)_keys.Count);
        _keys.ForEach(write => write(writer));
        long offset = 0;
        foreach ((string name, ulong[] dimensions, uint type, byte[] data) in _tensors)
        {
            WriteText(writer, name);
            writer.Write(dimensions.Length);
            Array.ForEach(dimensions, writer.Write);
            writer.Write(type);
            writer.Write(offset);
            offset = Align(offset + data.Length);
        }
        foreach ((_, _, _, byte[] data) in _tensors)
        {
            writer.Write(new byte[Align(stream.Position) - stream.Position]);
            writer.Write(data);
        }
        return stream.ToArray();
    }

    private long Align(long position) => (position + Alignment - 1) / Alignment * Alignment;

    private static void WriteText(BinaryWriter writer, string text)
    {
        byte[] utf8 = Encoding.UTF8.GetBytes(text);
        writer.Write((long)utf8.Length);
        writer.Write(utf8);
    }

    private static void WriteValue(BinaryWriter writer, object value)
    {
        writer.Write(TypeOf(value.GetType()));
        if (value is Array array)
        {
            writer.Write(TypeOf(array.GetType().GetElementType()!));
            writer.Write((long)array.Length);
            foreach (object item in array)
            {
                WriteScalar(writer, item);
            }
            return;
        }
        WriteScalar(writer, value);
    }

    private static uint TypeOf(Type type) => type.IsArray ? 9u : Type.GetTypeCode(type) switch
    {
        TypeCode.Byte => 0,
        TypeCode.SByte => 1,
        TypeCode.UInt16 => 2,
        TypeCode.Int16 => 3,
        TypeCode.UInt32 => 4,
        TypeCode.Int32 => 5,
        TypeCode.Single => 6,
        TypeCode.Boolean => 7,
        TypeCode.String => 8,
        TypeCode.UInt64 => 10,
        TypeCode.Int64 => 11,
        TypeCode.Double => 12,
        _ => throw new ArgumentException($"GGUF has no {type}", nameof(type)),
    };

    private static void WriteScalar(BinaryWriter writer, object value)
    {
        switch (value)
        {
            case byte number: writer.Write(number); break;
            case sbyte number: writer.Write(number); break;
            case ushort number: writer.Write(number); break;
            case short number: writer.Write(number); break;
            case uint number: writer.Write(number); break;
            case int number: writer.Write(number); break;
            case float number: writer.Write(number); break;
            case bool truth: writer.Write(truth); break;
            case string text: WriteText(writer, text); break;
            case ulong number: writer.Write(number); break;
            case long number: writer.Write(number); break;
            case double number: writer.Write(number); break;
        }
    }
}
