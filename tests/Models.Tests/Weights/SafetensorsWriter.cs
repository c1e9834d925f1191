using System.Buffers.Binary;
using System.Text;
using System.Text.Json;

namespace LlamaServe.Models.Tests.Weights;

/// <summary>Writes safetensors files, honest or not.</summary>
internal sealed class SafetensorsWriter
{
    private readonly List<(string Name, string Type, long[] Shape, byte[] Data)> _tensors = [];

    public SafetensorsWriter Add(string name, string type, long[] shape, byte[] data)
    {
        _tensors.Add((name, type, shape, data));
        return this;
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
}
