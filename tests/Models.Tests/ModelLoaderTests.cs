using LlamaServe.Kernels.Cpu;
using LlamaServe.Models.Weights;
using LlamaServe.Testing;

namespace LlamaServe.Models.Tests;

public sealed class ModelLoaderTests
{
    private CpuBackend _backend = null!;
    private TemporaryFolder _folder = null!;

    [SetUp]
    public void SetUp() => (_backend, _folder) = (new CpuBackend(new CpuBackendOptions { Threads = 1 }), new TemporaryFolder());

    [TearDown]
    public void TearDown()
    {
        _backend.Dispose();
        _folder.Dispose();
    }

    [Test]
    public void A_snapshot_comes_with_its_tokenizer_and_defaults()
    {
        TinyModels.Create(TinyModel.Qwen3, _folder.File("tiny-qwen"), seed: 1);

        using LoadedModel model = ModelLoader.Load(_folder.File("tiny-qwen"), _backend);

        Assert.Multiple(() =>
        {
            Assert.That(model.Name, Is.EqualTo("tiny-qwen"));
            Assert.That(model.Model.Config.VocabularySize, Is.EqualTo(288));
            Assert.That(model.WeightBytes, Is.Positive);
            Assert.That(model.Defaults.EosTokenIds, Is.EqualTo(new[] { ByteTokenizer.EosId }));
            Assert.That(model.Tokenizer.Decode([.. model.Tokenizer.Encode("Größe: 5 µm")]), Is.EqualTo("Größe: 5 µm"));
        });
    }

    [Test]
    public void A_gguf_file_comes_with_its_tokenizer_and_defaults()
    {
        using LoadedModel model = ModelLoader.Load(Path.Combine(RepositoryPaths.RequireStories(), "stories260K.gguf"), _backend);

        Assert.Multiple(() =>
        {
            Assert.That(model.Name, Is.EqualTo("stories260K"));
            Assert.That((model.Defaults.BosTokenId, model.Defaults.EosTokenIds[0]), Is.EqualTo(((int?)1, 2)));
            Assert.That(model.Tokenizer.Encode("Once upon a time"), Is.EqualTo(new[] { 1, 403, 407, 261, 378 }));
        });
    }

    [Test]
    public void A_snapshot_in_the_hugging_face_cache_is_named_after_its_repository()
    {
        string folder = _folder.File("models--acme--tiny-llama/snapshots/0123abcd");
        TinyModels.Create(TinyModel.Llama2, folder, seed: 1);

        using LoadedModel model = ModelLoader.Load(folder, _backend);

        Assert.That(model.Name, Is.EqualTo("acme/tiny-llama"));
    }

    [Test]
    public void Progress_counts_every_byte_once()
    {
        TinySnapshot snapshot = TinyModels.Create(TinyModel.Llama31, _folder.Path, seed: 1);
        Recorder progress = new();

        ModelLoader.Load(_folder.Path, _backend, progress).Dispose();

        Assert.Multiple(() =>
        {
            Assert.That(progress.Reports.Select(report => report.Tensor), Is.EquivalentTo(snapshot.Tensors.Keys));
            Assert.That(progress.Reports.Select(report => report.BytesDone), Is.Ordered.Ascending);
            Assert.That(progress.Reports[^1].BytesDone, Is.EqualTo(progress.Reports[^1].BytesTotal));
            Assert.That(progress.Reports[^1].BytesTotal, Is.EqualTo(snapshot.Tensors.Values.Sum(tensor => 4L * tensor.Values.Length)));
        });
    }

    [TestCase(258, 0)]
    [TestCase(257, 1)]
    [TestCase(256, 2)]
    public void Added_tokens_may_be_more_than_the_model_has_rows(int rows, int idsWithoutRow)
    {
        TinyModels.Create(TinyModel.Llama2 with { VocabularySize = rows }, _folder.Path, seed: 1);

        using LoadedModel model = ModelLoader.Load(_folder.Path, _backend);

        Assert.That(model.IdsWithoutRow, Is.EqualTo(idsWithoutRow));
        Assert.That(model.Defaults.EosTokenIds, Is.All.LessThan(rows));
    }

    [Test]
    public void Ordinary_tokens_must_not_be_more_than_the_model_has_rows()
    {
        TinyModels.Create(TinyModel.Llama2 with { VocabularySize = 255 }, _folder.Path, seed: 1);

        CheckpointException? error = Assert.Throws<CheckpointException>(() => ModelLoader.Load(_folder.Path, _backend).Dispose());

        Assert.That(error!.Message, Does.EndWith("the tokenizer has 256 ids without its added tokens, the model only 255"));
    }

    [Test]
    public void A_token_around_every_text_must_have_a_row()
    {
        TinyModels.Create(TinyModel.Llama2 with { VocabularySize = 256 }, _folder.Path, seed: 1);
        File.WriteAllText(_folder.File("tokenizer_config.json"), """{"bos_token": "<|begin|>", "add_bos_token": true}""");

        CheckpointException? error = Assert.Throws<CheckpointException>(() => ModelLoader.Load(_folder.Path, _backend).Dispose());

        Assert.That(error!.Message, Does.EndWith("the tokenizer puts the id 256 around every text, the model has only 256"));
    }

    [Test]
    public void An_end_token_without_a_row_ends_nothing()
    {
        TinyModels.Create(TinyModel.Llama2 with { VocabularySize = 257 }, _folder.Path, seed: 1);
        File.WriteAllText(_folder.File("tokenizer_config.json"), """{"eos_token": "<|end|>"}""");

        using LoadedModel model = ModelLoader.Load(_folder.Path, _backend);

        Assert.That(model.Tokenizer.Special.Eos, Is.EqualTo(ByteTokenizer.EosId));
        Assert.That(model.Defaults.EosTokenIds, Is.Empty);
    }

    [TestCase("absent", "absent: is neither a snapshot folder nor a .gguf file")]
    [TestCase("absent.gguf", "absent.gguf: the file does not exist")]
    public void A_path_that_leads_nowhere_is_refused(string name, string message)
    {
        CheckpointException? error = Assert.Throws<CheckpointException>(() => ModelLoader.Load(_folder.File(name), _backend).Dispose());

        Assert.That(error!.Message, Is.EqualTo(message));
    }

    private sealed class Recorder : IProgress<LoadProgress>
    {
        public List<LoadProgress> Reports { get; } = [];

        public void Report(LoadProgress value) => Reports.Add(value);
    }
}
