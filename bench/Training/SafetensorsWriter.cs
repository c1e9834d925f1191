using System.Buffers.Binary;
using System.Text.Json;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace LlamaServe.Bench.Training;

/// <summary>Writes the safetensors format: header length (u64, little-endian), JSON header, data without gaps.</summary>
internal static class SafetensorsWriter
{
    /// <summary>Writes the tensors as BF16, in the order of their names.</summary>
    public static void Write(string path, SortedDictionary<string, Parameter> tensors)
    {
        using FileStream file = File.Create(path);
        byte[] header = Header(tensors);
        Span<byte> length = stackalloc byte[8];
        BinaryPrimitives.WriteUInt64LittleEndian(length, (ulong)header.Length);
        file.Write(length);
        file.Write(header);
        foreach (Parameter tensor in tensors.Values)
        {
            using DisposeScope scope = NewDisposeScope();
            file.Write(tensor.detach().to_type(ScalarType.BFloat16).contiguous().bytes);
        }
    }

    // Padded with blanks to a multiple of 8, so that the data is aligned.
    private static byte[] Header(SortedDictionary<string, Parameter> tensors)
    {
        using var json = new MemoryStream();
        using (var writer = new Utf8JsonWriter(json))
        {
            writer.WriteStartObject();
            writer.WriteStartObject("__metadata__");
            writer.WriteString("format", "pt");
            writer.WriteEndObject();
            long offset = 0;
            foreach ((string name, Parameter tensor) in tensors)
            {
                long end = offset + tensor.numel() * 2;
                writer.WriteStartObject(name);
                writer.WriteString("dtype", "BF16");
                WriteNumbers(writer, "shape", tensor.shape);
                WriteNumbers(writer, "data_offsets", [offset, end]);
                writer.WriteEndObject();
                offset = end;
            }
            writer.WriteEndObject();
        }
        while (json.Length % 8 != 0)
        {
            json.WriteByte((byte)' ');
        }
        return json.ToArray();
    }

    private static void WriteNumbers(Utf8JsonWriter writer, string name, ReadOnlySpan<long> numbers)
    {
        writer.WriteStartArray(name);
        foreach (long number in numbers)
        {
            writer.WriteNumberValue(number);
        }
        writer.WriteEndArray();
    }
}
