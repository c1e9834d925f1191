using LlamaServe.Kernels;
using LlamaServe.Models.Weights;
using LlamaServe.Testing;

namespace LlamaServe.Models.Tests.Weights;

public sealed class GgufFileTests
{
    private TemporaryFolder _folder = null!;

    [SetUp]
    public void SetUp() => _folder = new TemporaryFolder();

    [TearDown]
    public void TearDown() => _folder.Dispose();

    [TestCase(0u, WeightFormat.F32, 4, 2u)]
    [TestCase(1u, WeightFormat.F16, 2, 3u)]
    [TestCase(30u, WeightFormat.BF16, 2, 3u)]
    [TestCase(8u, WeightFormat.Q8_0, 34, 2u)]
    [TestCase(2u, WeightFormat.Q4_0, 18, 3u)]
    [TestCase(12u, WeightFormat.Q4_K, 144, 3u)]
    [TestCase(14u, WeightFormat.Q6_K, 210, 3u)]
    public void A_tensor_comes_back_with_reversed_dimensions_and_its_bytes(uint type, WeightFormat format, int blockBytes, uint version)
    {
        Random random = new((int)type);
        int columns = 2 * format.BlockElements();
        byte[] data = CheckpointFiles.RandomBytes(random, 3 * 2 * blockBytes);
        byte[] next = CheckpointFiles.RandomBytes(random, 4);
        using GgufFile file = Open(new GgufWriter { Version = version, Alignment = 64 }
            .Key("general.alignment", 64u).Tensor("w", type, [(ulong)columns, 3], data).Tensor("next", 0, [1], next));

        TensorSource tensor = file.Tensors.Get("w");
        Assert.That(tensor.Format, Is.EqualTo(format));
        Assert.That(tensor.Shape, Is.EqualTo(new long[] { 3, columns }));
        Assert.That(CheckpointFiles.BytesOf(tensor), Is.EqualTo(data));
        Assert.That((long)tensor.Address % 64, Is.Zero);
        Assert.That(CheckpointFiles.BytesOf(file.Tensors.Get("next")), Is.EqualTo(next));
    }

    [Test]
    public void Metadata_of_every_type_comes_back()
    {
        using GgufFile file = Open(new GgufWriter()
            .Key("general.architecture", "llama").Key("u8", (byte)200).Key("i8", (sbyte)-3).Key("u16", (ushort)60000)
            .Key("i16", (short)-300).Key("u32", 7u).Key("i32", -7).Key("u64", 8ul).Key("i64", -8L).Key("f32", 0.5f).Key("f64", 0.25)
            .Key("true", true).Key("long", new string('ü', 50_000)).Key("texts", new[] { "a", "", "▁b" })
            .Key("ints", new[] { 1, -2, 3 }).Key("floats", new[] { 1.5f, -2f }).Key("huge", ulong.MaxValue / 2));
        GgufMetadata metadata = file.Metadata;

        Assert.That(metadata.Architecture, Is.EqualTo("llama"));
        Assert.That(new[] { "u8", "i8", "u16", "i16", "u32", "i32", "u64", "i64" }.Select(metadata.GetInt32),
            Is.EqualTo(new[] { 200, -3, 60000, -300, 7, -7, 8, -8 }));
        Assert.That((metadata.GetSingle("f32"), metadata.GetSingle("f64"), metadata.GetSingle("u32")), Is.EqualTo((0.5f, 0.25f, 7f)));
        Assert.That(metadata.FindBoolean("true"), Is.True);
        Assert.That(metadata.GetString("long"), Has.Length.EqualTo(50_000));
        Assert.That(metadata.GetStrings("texts"), Is.EqualTo(["a", "", "▁b"]));
        Assert.That(metadata.FindIntegers("ints"), Is.EqualTo(new[] { 1L, -2, 3 }));
        Assert.That(metadata.FindSingles("floats"), Is.EqualTo(new[] { 1.5f, -2f }));
        Assert.That(metadata.FindInt32("absent"), Is.Null);
        Error(() => metadata.GetInt32("absent"), "'absent' is missing");
        Error(() => metadata.GetInt32("huge"), "'huge' must be an integer of 32 bits");
        Error(() => metadata.GetInt32("f32"), "'f32' must be an integer");
        Error(() => metadata.GetString("u8"), "'u8' must be text");
        Error(() => metadata.FindStrings("ints"), "'ints' must be an array of texts");
        Error(() => metadata.FindBoolean("u8"), "'u8' must be true or false");
        Error(() => metadata.GetSingle("texts"), "'texts' must be a finite number");

        static void Error(Action get, string problem) => Assert.That(get.Invoke, Throws.TypeOf<CheckpointException>()
            .With.Message.StartsWith("model.gguf: key").And.Message.Contains(problem));
    }

    [Test]
    public void Lies_about_tensors_are_refused_with_the_tensor_named()
    {
        Refused("tensor 'w' has type Q5_K; supported are F32", new GgufWriter().Tensor("w", 13, [256], new byte[176]));
        Refused("tensor 'w' has type number 99", new GgufWriter().Tensor("w", 99, [1], new byte[4]));
        Refused("not whole Q8_0 blocks", new GgufWriter().Tensor("w", 8, [48], new byte[68]));
        Refused("tensor 'w' ends at byte", new GgufWriter().Tensor("w", 0, [3], new byte[8]));
        Refused("tensor 'w' has 5 dimensions", new GgufWriter().Tensor("w", 0, [1, 1, 1, 1, 1], new byte[4]));
        Refused("tensor 'w' has 0 dimensions", new GgufWriter().Tensor("w", 0, [], new byte[4]));
        Refused("tensor 'w' has a dimension of 0", new GgufWriter().Tensor("w", 0, [0], new byte[4]));
        Refused("tensor 'w' has a dimension of 18446744073709551615", new GgufWriter().Tensor("w", 0, [ulong.MaxValue], new byte[4]));
        Refused("tensor 'w' has an impossible size", new GgufWriter().Tensor("w", 0, [int.MaxValue, int.MaxValue, 16], new byte[4]));
        Refused("tensor 'w' occurs twice", new GgufWriter().Tensor("w", 0, [1], new byte[4]).Tensor("w", 0, [1], new byte[4]));
        Refused("tensor 'v' overlaps", new GgufWriter().Tensor("w", 0, [32], new byte[32]).Tensor("v", 0, [32], new byte[128]));
        Refused("not a multiple of the alignment 32", new GgufWriter { Alignment = 4 }.Tensor("w", 0, [1], new byte[4]).Tensor("v", 0, [1], new byte[4]));
        Refused("truncated", new GgufWriter { ClaimedExtraTensors = 1 }.Tensor("w", 0, [1], new byte[4]));
        Refused("more than the 262144 allowed", new GgufWriter { ClaimedExtraTensors = int.MaxValue });
    }

    [Test]
    public void Lies_about_keys_are_refused_with_the_key_named()
    {
        Refused("key 'k' has unknown type 13", new GgufWriter().RawKey("k", 13, 0, 0, 0));
        Refused("key 'k' has unknown type 77", new GgufWriter().RawKey("k", 9, 0, 0, 0, 77, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0));
        Refused("array of arrays", new GgufWriter().RawKey("k", 9, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0));
        Refused("truth value 2", new GgufWriter().RawKey("k", 7, 0, 0, 0, 2));
        Refused("truncated: it is too short for its 4194304 array elements", new GgufWriter().RawKey("k", 9, 0, 0, 0, 4, 0, 0, 0, 0, 0, 64, 0, 0, 0, 0, 0));
        Refused("array elements, more than the", new GgufWriter().RawKey("k", 9, 0, 0, 0, 0, 0, 0, 0, 255, 255, 255, 255, 255, 255, 255, 255));
        Refused("bytes of text, more than", new GgufWriter().RawKey("k", 8, 0, 0, 0, 255, 255, 255, 255, 255, 255, 255, 255));
        Refused("key 'k' occurs twice", new GgufWriter().Key("k", 1).Key("k", 2));
        Refused("'general.alignment' is 33", new GgufWriter().Key("general.alignment", 33u));
        Refused("'general.alignment' is 8192", new GgufWriter().Key("general.alignment", 8192u));
        Refused("'general.alignment' is 0", new GgufWriter().Key("general.alignment", 0u));
        Refused("join them", new GgufWriter().Key("split.count", (ushort)2));
    }

    [Test]
    public void Other_versions_and_other_files_are_refused()
    {
        Refused("GGUF version 1", new GgufWriter { Version = 1 });
        Refused("GGUF version 4", new GgufWriter { Version = 4 });
        Refused("big-endian", new GgufWriter { Version = 0x03000000 });
        string path = _folder.Write("model.gguf", "GGML: something else");
        Assert.That(() => GgufFile.Open(path), Throws.TypeOf<CheckpointException>().With.Message.Contains("is no GGUF file"));
    }

    [Test]
    public void The_shared_model_opens()
    {
        using GgufFile file = GgufFile.Open(Path.Combine(RepositoryPaths.RequireStories(), "stories260K.gguf"));
        Assert.That(file.Metadata.Architecture, Is.EqualTo("llama"));
        Assert.That(file.Metadata.GetInt32("llama.embedding_length"), Is.EqualTo(64));
        Assert.That(file.Metadata.GetStrings("tokenizer.ggml.tokens"), Has.Count.EqualTo(512));
        Assert.That(file.Tensors.Get("token_embd.weight").Shape, Is.EqualTo(new long[] { 512, 64 }));
        using TensorArchive snapshot = Safetensors.OpenSnapshot(RepositoryPaths.RequireStories());
        Assert.That(CheckpointFiles.BytesOf(file.Tensors.Get("blk.4.ffn_down.weight")),
            Is.EqualTo(CheckpointFiles.BytesOf(snapshot.Get("model.layers.4.mlp.down_proj.weight"))));
    }

    private GgufFile Open(GgufWriter writer) => GgufFile.Open(_folder.Write("model.gguf", writer.ToBytes()));

    private void Refused(string problem, GgufWriter writer) => Assert.That(() => Open(writer),
        Throws.TypeOf<CheckpointException>().With.Message.StartsWith("model.gguf: ").And.Message.Contains(problem));
}
