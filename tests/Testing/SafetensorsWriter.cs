using System.Buffers.Binary;
using System.Runtime.InteropServices;
using System.Text;
using System.Text.Json.Nodes;

namespace LlamaServe.Testing;

/// <summary>Writes tensors as one safetensors file.</summary>
public static class SafetensorsWriter
{
    /// <param name="bfloat16">Store as BF16, which the values must already be rounded to, instead of F32.</param>
    public static void Write(string path, IReadOnlyDictionary<string, TinyTensor> tensors, bool bfloat16)
    {
        JsonObject header = [];
        long offset = 0;
        foreach ((string name, TinyTensor tensor) in tensors)
        {
            long end = offset + (long)tensor.Values.Length * (bfloat16 ? 2 : 4);
            header[name] = new JsonObject
            {
                ["dtype"] = bfloat16 ? "BF16" : "F32",
                ["shape"] = new JsonArray([.. tensor.Shape.Select(size => (JsonNode)size)]),
                ["data_offsets"] = new JsonArray(offset, end),
            };
            offset = end;
        }
        string json = header.ToJsonString();
        byte[] utf8 = Encoding.UTF8.GetBytes(json.PadRight((json.Length + 7) / 8 * 8));
        using FileStream file = File.Create(path);
        Span<byte> length = stackalloc byte[8];
        BinaryPrimitives.WriteInt64LittleEndian(length, utf8.Length);
        file.Write(length);
        file.Write(utf8);
        foreach (TinyTensor tensor in tensors.Values)
        {
            file.Write(bfloat16 ? Encode(tensor.Values) : MemoryMarshal.AsBytes(tensor.Values.AsSpan()));
        }
    }

    /// <summary>The nearest number with 8 significant bits, ties to even.</summary>
    public static float RoundToBFloat16(float value)
    {
        uint bits = BitConverter.SingleToUInt32Bits(value);
        return BitConverter.UInt32BitsToSingle((bits + 0x7FFF + ((bits >> 16) & 1)) & 0xFFFF0000);
    }

    private static byte[] Encode(float[] values)
    {
        byte[] bytes = new byte[values.Length * 2];
        for (int i = 0; i < values.Length; i++)
        {
            BinaryPrimitives.WriteUInt16LittleEndian(bytes.AsSpan(2 * i), (ushort)(BitConverter.SingleToUInt32Bits(values[i]) >> 16));
        }
        return bytes;
    }
}
