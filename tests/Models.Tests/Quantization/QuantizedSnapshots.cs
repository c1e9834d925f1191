using System.Text.Json.Nodes;
using LlamaServe.Testing;

namespace LlamaServe.Models.Tests.Quantization;

/// <summary>Tiny models whose layers' matrices are quantized, as snapshots, with the values that they stand for.</summary>
internal static class QuantizedSnapshots
{
    public const string Gptq = """{"quant_method": "gptq", "bits": 4, "group_size": 32, "desc_act": false, "sym": false}""";
    public const string Gptq8 = """{"quant_method": "gptq", "bits": 8, "group_size": -1, "desc_act": true, "sym": true, "checkpoint_format": "gptq_v2"}""";
    public const string Awq = """{"quant_method": "awq", "bits": 4, "group_size": 32, "zero_point": true, "version": "gemm"}""";
    public const string Int8 = """{"quant_method": "compressed-tensors", "format": "int-quantized", "config_groups": {"group_0": {"targets": ["Linear"], "weights": {"num_bits": 8, "type": "int", "symmetric": true, "strategy": "channel", "dynamic": false}, "input_activations": {"num_bits": 8, "type": "int", "symmetric": true, "strategy": "token", "dynamic": true}}}, "ignore": ["lm_head"]}""";
    public const string Fp8 = """{"quant_method": "compressed-tensors", "format": "float-quantized", "config_groups": {"group_0": {"targets": ["Linear"], "weights": {"num_bits": 8, "type": "float", "symmetric": true, "strategy": "tensor", "dynamic": false}, "input_activations": {"num_bits": 8, "type": "float", "symmetric": true, "strategy": "token", "dynamic": true}}}}""";

    /// <summary>Heads of a size that GPUs have kernels for.</summary>
    public static TinyModel Model { get; } = TinyModel.Llama31 with { Layers = 2, Heads = 2, KvHeads = 1, HeadDim = 64 };

    /// <param name="config">One of this class's.</param>
    /// <returns>The snapshot; its tensors are what the quantized ones stand for.</returns>
    public static TinySnapshot Create(string config, string folder, int seed, TinyModel? model = null)
    {
        TinySnapshot plain = TinyModels.Create(model ?? Model, folder, seed);
        Random random = new(seed);
        SafetensorsWriter writer = new();
        Dictionary<string, TinyTensor> values = [];
        foreach ((string name, TinyTensor tensor) in plain.Tensors)
        {
            if (!name.EndsWith("_proj.weight", StringComparison.Ordinal))
            {
                writer.Add(name, tensor, bfloat16: false);
                values.Add(name, tensor);
                continue;
            }
            double[] weights = Write(writer, config, name[..^".weight".Length], tensor.Shape[0], tensor.Shape[1], random);
            values.Add(name, new TinyTensor(tensor.Shape, Array.ConvertAll(weights, value => (float)value)));
        }
        File.WriteAllBytes(Path.Combine(folder, "model.safetensors"), writer.ToBytes());
        WriteConfig(plain.Model, folder, JsonNode.Parse(config));
        return plain with { Tensors = values };
    }

    public static void WriteConfig(TinyModel model, string folder, JsonNode? quantization)
    {
        JsonObject json = TinyModels.Config(model);
        json["quantization_config"] = quantization;
        File.WriteAllText(Path.Combine(folder, "config.json"), json.ToJsonString());
    }

    private static double[] Write(SafetensorsWriter writer, string config, string module, int rows, int columns, Random random)
    {
        if (config is Int8 or Fp8)
        {
            return WriteChannels(writer, config == Fp8, module, rows, columns, random);
        }
        QuantizedMatrix matrix = config == Gptq8 ? new(rows, columns, 8, -1, true, random) : new(rows, columns, 4, 32, false, random);
        if (config == Awq)
        {
            matrix.WriteAwq(writer, module);
        }
        else
        {
            matrix.WriteGptq(writer, module, zeroOffset: config == Gptq ? 1 : 0);
        }
        return matrix.Values();
    }

    /// <summary>INT8 with a BF16 scale a row, or e4m3 with one F32 scale for all.</summary>
    private static double[] WriteChannels(SafetensorsWriter writer, bool isFp8, string module, int rows, int columns, Random random)
    {
        byte[] elements = new byte[rows * columns];
        random.NextBytes(elements);
        // Without e4m3's NaNs and its largest numbers, beside which the others would be nothing.
        elements = isFp8 ? Array.ConvertAll(elements, bits => (byte)(bits & 0xBF)) : elements;
        uint[] bits = [.. Enumerable.Range(0, isFp8 ? 1 : rows).Select(_ => BitConverter.SingleToUInt32Bits((float)((isFp8 ? 1.5 : 0.02) / Math.Sqrt(columns) * (1 + random.NextDouble()))))];
        if (isFp8)
        {
            writer.Add(module + ".weight_scale", "F32", [1], BitConverter.GetBytes(bits[0]));
        }
        else
        {
            writer.Add(module + ".weight_scale", "BF16", [rows, 1], [.. bits.SelectMany(value => BitConverter.GetBytes((ushort)(value >> 16)))]);
            bits = Array.ConvertAll(bits, value => value & 0xFFFF0000);
        }
        writer.Add(module + ".weight", isFp8 ? "F8_E4M3" : "I8", [rows, columns], elements);
        return [.. elements.Select((element, i) => BitConverter.UInt32BitsToSingle(bits[isFp8 ? 0 : i / columns]) * (isFp8 ? E4M3(element) : (sbyte)element))];
    }

    private static double E4M3(byte bits) => (bits < 128 ? 1 : -1)
        * Math.Pow(2, Math.Max(1, bits >> 3 & 15) - 7) * ((bits & 7) / 8.0 + ((bits & 0x78) != 0 ? 1 : 0));
}
