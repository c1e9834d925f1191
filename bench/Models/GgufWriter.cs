using System.Text;
using LlamaServe.Kernels;

namespace LlamaServe.Bench.Models;

/// <summary>
/// Writes a GGUF file, version 3: header, metadata, tensor table, then the tensors' data, each aligned to
/// <see cref="Alignment"/> bytes. Data streams from the tensors' own callbacks; nothing is held in memory.
/// </summary>
/// <remarks>Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md</remarks>
internal sealed class GgufWriter
{
    /// <summary>Alignment of the data section and of each tensor in it, in bytes.</summary>
    public const int Alignment = 32;

    private const uint Magic = 0x46554747;
    private const uint Version = 3;

    private readonly List<Action<BinaryWriter>> _metadata = [];
    private readonly List<GgufTensor> _tensors = [];

    private enum ValueType : uint
    {
        UInt32 = 4,
        Int32 = 5,
        Float32 = 6,
        Bool = 7,
        String = 8,
        Array = 9,
    }

    /// <summary>Adds a string.</summary>
    public GgufWriter Add(string key, string value) =>
        AddValue(key, ValueType.String, writer => WriteString(writer, value));

    /// <summary>Adds an unsigned 32-bit integer.</summary>
    public GgufWriter Add(string key, uint value) =>
        AddValue(key, ValueType.UInt32, writer => writer.Write(value));

    /// <summary>Adds a 32-bit float.</summary>
    public GgufWriter Add(string key, float value) =>
        AddValue(key, ValueType.Float32, writer => writer.Write(value));

    /// <summary>Adds a boolean.</summary>
    public GgufWriter Add(string key, bool value) =>
        AddValue(key, ValueType.Bool, writer => writer.Write(value));

    /// <summary>Adds an array of strings.</summary>
    public GgufWriter Add(string key, IReadOnlyCollection<string> values) =>
        AddArray(key, ValueType.String, values, WriteString);

    /// <summary>Adds an array of 32-bit floats.</summary>
    public GgufWriter Add(string key, IReadOnlyCollection<float> values) =>
        AddArray(key, ValueType.Float32, values, static (writer, value) => writer.Write(value));

    /// <summary>Adds an array of signed 32-bit integers.</summary>
    public GgufWriter Add(string key, IReadOnlyCollection<int> values) =>
        AddArray(key, ValueType.Int32, values, static (writer, value) => writer.Write(value));

    /// <summary>Adds a tensor; the data follows in the order of these calls.</summary>
    public GgufWriter Add(GgufTensor tensor)
    {
        _tensors.Add(tensor);
        return this;
    }

    /// <summary>Writes the whole file.</summary>
    /// <exception cref="InvalidOperationException">A tensor wrote more or fewer bytes than its shape and format ask for.</exception>
    public void WriteTo(Stream output)
    {
        using var writer = new BinaryWriter(output, Encoding.UTF8, leaveOpen: true);
        writer.Write(Magic);
        writer.Write(Version);
        writer.Write((ulong)_tensors.Count);
        writer.Write((ulong)_metadata.Count);
        foreach (Action<BinaryWriter> writeEntry in _metadata)
        {
            writeEntry(writer);
        }

        WriteTensorTable(writer);
        foreach (GgufTensor tensor in _tensors)
        {
            Pad(output);
            long start = output.Position;
            tensor.WriteData(output);
            if (output.Position - start != tensor.ByteCount)
            {
                throw new InvalidOperationException(
                    $"Tensor {tensor.Name} wrote {output.Position - start} bytes where its shape asks for {tensor.ByteCount}.");
            }
        }

        Pad(output);
    }

    private void WriteTensorTable(BinaryWriter writer)
    {
        long offset = 0;
        foreach (GgufTensor tensor in _tensors)
        {
            WriteString(writer, tensor.Name);
            writer.Write((uint)tensor.Shape.Length);
            foreach (int size in tensor.Shape.Reverse())
            {
                writer.Write((ulong)size);
            }

            writer.Write(TypeNumber(tensor.Format));
            writer.Write((ulong)offset);
            offset = Align(offset + tensor.ByteCount);
        }
    }

    private GgufWriter AddValue(string key, ValueType type, Action<BinaryWriter> writeValue)
    {
        _metadata.Add(writer =>
        {
            WriteString(writer, key);
            writer.Write((uint)type);
            writeValue(writer);
        });
        return this;
    }

    private GgufWriter AddArray<T>(string key, ValueType elementType, IReadOnlyCollection<T> values, Action<BinaryWriter, T> writeElement) =>
        AddValue(key, ValueType.Array, writer =>
        {
            writer.Write((uint)elementType);
            writer.Write((ulong)values.Count);
            foreach (T value in values)
            {
                writeElement(writer, value);
            }
        });

    private static uint TypeNumber(WeightFormat format) => format switch
    {
        WeightFormat.F32 => 0,
        WeightFormat.F16 => 1,
        WeightFormat.Q4_0 => 2,
        WeightFormat.Q8_0 => 8,
        WeightFormat.BF16 => 30,
        _ => throw new ArgumentOutOfRangeException(nameof(format), format, "No encoder writes this format."),
    };

    private static void WriteString(BinaryWriter writer, string value)
    {
        byte[] bytes = Encoding.UTF8.GetBytes(value);
        writer.Write((ulong)bytes.Length);
        writer.Write(bytes);
    }

    private static void Pad(Stream output) => output.Write(new byte[Align(output.Position) - output.Position]);

    private static long Align(long position) => (position + Alignment - 1) / Alignment * Alignment;
}
