using System.Buffers.Binary;
using System.Runtime.InteropServices;
using System.Text;
using System.Text.Json;

namespace LlamaServe.Testing;

/// <summary>Writes safetensors files, honest or not.</summary>
public sealed class SafetensorsWriter
{
    private readonly List<(string Name, string Type, long[] Shape, byte[] Data)> _tensors = [];

    /// <param name="type">As the header names it; nothing checks that type, shape and data agree.</param>
    public SafetensorsWriter Add(string name, string type, long[] shape, byte[] data)
    {
        _tensors.Add((name, type, shape, data));
        return this;
    }

    /// <param name="bfloat16">Store as BF16, which the values must already be rounded to, instead of F32.</param>
    public SafetensorsWriter Add(string name, TinyTensor tensor, bool bfloat16)
    {
        long[] shape = [.. tensor.Shape.Select(size => (long)size)];
        return bfloat16
            ? Add(name, "BF16", shape, UpperHalves(tensor.Values))
            : Add(name, "F32", shape, MemoryMarshal.AsBytes(tensor.Values.AsSpan()).ToArray());
    }

    public byte[] ToBytes()
    {
        StringBuilder header = new("""{"__metadata__":{"format":"pt"}""");
        long offset = 0;
        foreach ((string name, string type, long[] shape, byte[] data) in _tensors)
        {
            header.Append(",\"").Append(JsonEncodedText.Encode(name)).Append("\":{\"dtype\":\"").Append(type)
                .Append("\",\"shape\":[").AppendJoin(',', shape)
                .Append("],\"data_offsets\":[").Append(offset).Append(',').Append(offset + data.Length).Append("]}");
            offset += data.Length;
        }
        header.Append('}');
        header.Append(' ', -header.Length & 7);
        return WithHeader(header.ToString(), [.. _tensors.SelectMany(tensor => tensor.Data)]);
    }

    public static byte[] WithHeader(string header, byte[] data)
    {
        byte[] utf8 = Encoding.UTF8.GetBytes(header);
        byte[] file = new byte[8 + utf8.Length + data.Length];
        BinaryPrimitives.WriteInt64LittleEndian(file, utf8.Length);
        utf8.CopyTo(file, 8);
        data.CopyTo(file, 8 + utf8.Length);
        return file;
    }

    /// <summary>Writes a model's tensors as one file.</summary>
    public static void Write(string path, IReadOnlyDictionary<string, TinyTensor> tensors, bool bfloat16)
    {
        SafetensorsWriter writer = new();
        foreach ((string name, TinyTensor tensor) in tensors)
        {
            writer.Add(name, tensor, bfloat16);
        }
        File.WriteAllBytes(path, writer.ToBytes());
    }

    private static byte[] UpperHalves(float[] values)
    {
        byte[] bytes = new byte[values.Length * 2];
        for (int i = 0; i < values.Length; i++)
        {
            BinaryPrimitives.WriteUInt16LittleEndian(bytes.AsSpan(2 * i), (ushort)(BitConverter.SingleToUInt32Bits(values[i]) >> 16));
        }
        return bytes;
    }
}
